-- The shop's carts, and two to begin with: 123 is still being filled, 456 has been checked out.
CREATE TABLE cart (
    id TEXT PRIMARY KEY,
    checkedOut INTEGER NOT NULL DEFAULT 0,
    amount INTEGER NOT NULL,
    email TEXT NOT NULL
);

INSERT INTO cart (id, checkedOut, amount, email) VALUES
    ('123', 0, 250, 'ann@example.com'),
    ('456', 1, 90, 'bob@example.com');
