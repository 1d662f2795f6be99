from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from task_model import small_model, token_by_token

from lmlab.tasks.requests import make_request

pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")

pytestmark = pytest.mark.long  # importing the harness takes seconds


def adapter(**settings: Any) -> Any:
    from lmlab.harness.model import HarnessModel

    return HarnessModel(*small_model(), **settings)


def requests(*arguments: Any) -> list[Any]:
    return [SimpleNamespace(args=one) for one in arguments]


def test_likelihoods_are_those_of_lmlabs_own_requests() -> None:
    model, tokenizer = small_model()
    pairs = [("the dog", " on the"), ("the ", "do"), ("", "once"), ("on " * 30, "the")]
    answers = adapter(batch_size=3).loglikelihood(requests(*pairs), disable_tqdm=True)
    for (context, continuation), (likelihood, is_greedy) in zip(pairs, answers, strict=True):
        request = make_request(tokenizer, context, continuation)
        size = len(request.continuation)
        window = request.window(model.context_length).tolist()
        expected, greedy = token_by_token(model, window[:-size], window[-size:])
        assert likelihood == pytest.approx(sum(expected), abs=5e-5)
        assert is_greedy is greedy


def test_a_text_is_cut_at_its_first_stop() -> None:
    model = adapter()
    (text,) = model.generate_until(requests(("the dog", {"until": [], "max_gen_toks": 15})))
    assert len(text) > 3, "the model generates more than an end of text"
    stops = [text[3:5], text[1:3]]
    (cut,) = model.generate_until(requests(("the dog", {"until": stops, "max_gen_toks": 15})))
    assert cut == text[: min(text.find(stop) for stop in stops)]
    (one,) = model.generate_until(requests(("the dog", {"until": stops[0], "max_gen_toks": 15})))
    assert one == text[: text.find(stops[0])]


def test_requests_with_other_settings_keep_their_places() -> None:
    settings = [{"max_gen_toks": 3}, {"max_gen_toks": 9}]
    asked = [("the dog", settings[index % 2]) for index in range(5)] + [("on", settings[0])]
    together = adapter(batch_size=4).generate_until(requests(*asked))
    alone = [adapter().generate_until(requests(one))[0] for one in asked]
    assert together == alone
    assert together[1].startswith(together[0]) and together[1] != together[0]


def test_sampled_texts_follow_from_the_seed() -> None:
    asked = requests(*[("the dog", {"do_sample": True, "temperature": 1.0, "max_gen_toks": 9})] * 4)
    first, again, other = (adapter(seed=seed).generate_until(asked) for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) > 1


def test_without_the_harness_the_command_says_what_to_install() -> None:
    code = (
        "import importlib.util, sys; found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda *name: None if name[0] == 'lm_eval' else found(*name)\n"
        "from lmlab.harness.__main__ import main\n"
        "sys.exit(main(['--model_args', 'run=x', '--tasks', 'y']))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: lm-evaluation-harness is not installed\nhelp: install it")
