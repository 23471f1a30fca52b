from __future__ import annotations

import pickle

from wrangler_py.sdk import workers
from wrangler_py.sdk.workers.workflows import NonRetryableError


def test_the_text_of_a_non_retryable_error_is_its_message() -> None:
    error = NonRetryableError("card refused")
    assert (str(error), error.message, error.name) == ("card refused", "card refused", "NonRetryableError")
    assert isinstance(error, Exception)


def test_it_may_have_a_name_of_its_own() -> None:
    class CardRefused(NonRetryableError):
        pass

    assert NonRetryableError("m", "CardRefused").name == CardRefused("m").name == "CardRefused"


def test_it_survives_a_copy() -> None:
    assert str(pickle.loads(pickle.dumps(NonRetryableError("m")))) == "m"


def test_it_is_imported_from_workers_workflows_only() -> None:
    assert not hasattr(workers, "NonRetryableError")
