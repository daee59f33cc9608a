"""A thousand random graphs of our nodes and core ones: the host's validation accepts each or refuses it, and never falls over."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

GRAPHS = 1000
CORE = ("EmptyImage", "ImageScale", "KSampler", "VAEDecode", "VAEEncode", "PreviewImage", "SaveImage", "CLIPTextEncode",
        "EmptyLatentImage", "ImageBatch")
TEXTS = ("", "a red circle", "x" * 9999, "\x00", "../..", "{}", "\u202e")


@pytest.fixture(scope="module")
def known(pack):
    """Our nodes and the core ones by id, in the host's own listing for as long as the test runs."""
    import nodes

    ours = asyncio.run(pack("nodes").Show1Extension().get_node_list())
    added = {node.GET_SCHEMA().node_id: node for node in ours}
    nodes.NODE_CLASS_MAPPINGS.update(added)
    yield {**{name: nodes.NODE_CLASS_MAPPINGS[name] for name in CORE}, **added}
    for name in added:
        del nodes.NODE_CLASS_MAPPINGS[name]


def value(rng: random.Random, kind, options):
    """A widget's value: least, most, between, or of a wrong kind."""
    if rng.random() < 0.05:
        return rng.choice([None, [], {}, "wrong", -1, 1e308, float("inf"), True, ["1", 0, 0]])
    if isinstance(kind, list):
        return rng.choice([*kind, "not there"]) if kind else "nothing"
    low, high = options.get("min", 0), options.get("max", 2**31)
    return {
        "INT": lambda: rng.choice([low, high, rng.randint(int(low), int(high)), low - 1, high + 1]),
        "FLOAT": lambda: rng.choice([low, high, rng.uniform(low, high), high * 2 + 1]),
        "BOOLEAN": lambda: rng.random() < 0.5,
        "STRING": lambda: rng.choice(TEXTS),
        "COMBO": lambda: rng.choice([*options.get("options", []), "not there"]),
    }.get(kind, lambda: rng.choice(TEXTS))()


def graph(rng: random.Random, known) -> dict:
    """Nodes whose inputs come from earlier ones of the right type where there are such, sometimes of a wrong one."""
    prompt, made = {}, []
    for number in range(rng.randint(2, 12)):
        name = rng.choice([*known, "PreviewImage"])
        inputs = {}
        for group in ("required", "optional"):
            for key, (kind, *more) in known[name].INPUT_TYPES().get(group, {}).items():
                fitting = [link for link, output in made if output == kind]
                if group == "optional" and rng.random() < 0.5:
                    continue
                if fitting and rng.random() < 0.9:
                    inputs[key] = rng.choice(fitting)
                elif rng.random() < 0.1 and made:
                    inputs[key] = rng.choice(made)[0]
                elif rng.random() < 0.98:
                    inputs[key] = value(rng, kind, more[0] if more else {})
        prompt[str(number)] = {"class_type": name, "inputs": inputs}
        made += [([str(number), slot], output) for slot, output in enumerate(known[name].RETURN_TYPES)]
    return prompt


def test_every_random_graph_is_accepted_or_refused(known):
    import execution

    rng, outcomes = random.Random(0), Counter()
    for number in range(GRAPHS):
        prompt = graph(rng, known)
        accepted, error, _, errors = asyncio.run(execution.validate_prompt(str(number), prompt, None))
        outcomes[accepted] += 1
        assert accepted or error["message"]
        for found in errors.values():
            for reason in found["errors"]:
                assert reason["type"] != "exception_during_validation", (prompt, reason)
                assert reason["type"] != "exception_during_inner_validation", (prompt, reason)
    print(dict(outcomes))
    assert min(outcomes[True], outcomes[False]) > GRAPHS / 50, "all of one kind: the test says nothing"
