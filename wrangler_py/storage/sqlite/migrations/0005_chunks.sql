-- What steps returned as streams, piece by piece.
CREATE TABLE chunks (
    instance INTEGER NOT NULL,
    step     INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    data     BLOB NOT NULL,
    PRIMARY KEY (instance, step, number)
);
