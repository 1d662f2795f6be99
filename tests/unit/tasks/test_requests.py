from __future__ import annotations

import numpy as np
import pytest
from task_model import tokenizer_of_words

from lmlab.tasks.requests import Request, make_request, rolling_requests

TOKENIZER = tokenizer_of_words()
START = TOKENIZER.start_id


def texts(request: Request) -> tuple[str, str]:
    return TOKENIZER.decode(request.context), TOKENIZER.decode(request.continuation)


def test_without_a_context_the_continuation_follows_the_end_of_a_text() -> None:
    request = make_request(TOKENIZER, "", "the dog")
    assert request.context.tolist() == [TOKENIZER.end_of_text_id]
    assert TOKENIZER.decode(request.continuation) == "the dog"


def test_a_continuation_that_starts_itself_gets_no_second_start() -> None:
    request = make_request(TOKENIZER, "", "<|endoftext|>the")
    assert request.context.tolist() == [START]
    assert TOKENIZER.decode(request.continuation) == "the"


def test_white_space_at_the_end_of_the_context_belongs_to_the_continuation() -> None:
    expected = make_request(TOKENIZER, "see", " the")
    for context, continuation in (("see ", "the"), ("see\n ", "the")):
        request = make_request(TOKENIZER, context, continuation)
        assert texts(request) == ("see", context[3:] + continuation)
    assert make_request(TOKENIZER, "see ", "the").continuation.tolist() == (
        expected.continuation.tolist()
    )
    assert len(expected.continuation) == 1, "one token spans the space and the word"


def test_a_context_of_white_space_alone_is_none() -> None:
    request = make_request(TOKENIZER, " ", "the")
    assert request.context.tolist() == [START]
    assert TOKENIZER.decode(request.continuation) == " the"


def test_both_are_encoded_together_and_cut_where_the_context_ends() -> None:
    # "do" is one token, which spans the end of the context: what is left is cut by number.
    request = make_request(TOKENIZER, "d", "o on")
    whole = TOKENIZER.encode("do on")
    assert request.context.tolist() == TOKENIZER.encode("d")
    assert request.continuation.tolist() == whole[1:]


def test_a_continuation_that_adds_no_token_is_refused() -> None:
    with pytest.raises(ValueError, match="'o' adds no token"):
        make_request(TOKENIZER, "d", "o")
    with pytest.raises(ValueError, match="'' adds no token"):
        make_request(TOKENIZER, "", "")


def test_a_window_is_cut_from_the_left() -> None:
    request = Request(np.arange(10), np.array([50, 51]))
    assert request.window(4).tolist() == [7, 8, 9, 50, 51]
    assert request.window(40).tolist() == [*range(10), 50, 51]


@pytest.mark.parametrize("length", [1, 3, 4, 5, 8, 9, 11])
def test_rolling_windows_predict_each_token_once_with_as_much_context_as_fits(length: int) -> None:
    ids, context_length = np.arange(100, 100 + length), 4
    requests = list(rolling_requests(TOKENIZER, ids, context_length))
    predicted = np.concatenate([request.continuation for request in requests])
    assert predicted.tolist() == ids.tolist()
    padded = [START, *ids.tolist()]
    place = 1
    for request in requests:
        end = place + len(request.continuation)
        window = request.window(context_length).tolist()
        assert window == padded[end - len(window) : end], "consecutive tokens of the text"
        assert len(window) == min(end, context_length + 1), "the context is full"
        place = end
