"""A stage of the mini that has been exported serves those that are trained after it."""

from pathlib import Path

import pytest
import torch

from mini import export
from mini.tasks import build_unet
from mini.train import Workshop

STAGE = "first-frame-edges"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """A training folder with an image UNet, and the folder it was exported to."""
    folder, finished = tmp_path_factory.mktemp("training"), tmp_path_factory.mktemp("finished")
    unet = build_unet(export.UNETS[STAGE], seed=5)
    average = {f"unet.{name}": weight.detach() for name, weight in unet.named_parameters()}
    (folder / STAGE).mkdir()
    torch.save({"average": average}, folder / STAGE / "state.pt")
    made = Workshop(folder, tokenizer=Path("unused"), finished=finished)
    export.export_unet(made, STAGE, finished)
    return made


@pytest.mark.parametrize("asked", [STAGE, "first-frame"])
def test_what_is_exported_is_taken_where_no_training_state_is(shop: Workshop, tmp_path: Path, asked: str) -> None:
    """For the first training of a stage, too, where its state is not there any more."""
    trained = shop.average(STAGE)
    taken = Workshop(tmp_path, shop.tokenizer, shop.finished).average(asked)
    assert taken.keys() == trained.keys()
    assert all(torch.equal(taken[name], trained[name].half().float()) for name in trained)


def test_a_stage_that_is_nowhere_is_named_with_its_command(shop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--stage sr1"):
        Workshop(tmp_path, shop.tokenizer, shop.finished).average("sr1")
