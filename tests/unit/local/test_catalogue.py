"""Which models the local mesh deploys."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deploy.local.catalogue import CATALOGUE, MODELS, write_catalogue
from deploy.local.home import open_home
from deploy.local.mesh import make_mesh
from services.common.catalogue import load_catalogue


def test_providers_models_are_deployed_whose_key_is_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINEMESH_OPENAI_VIDEOS_BASE_URL", "http://127.0.0.1:1/v1")
    home = open_home(tmp_path, ports="free")
    catalogue = write_catalogue(home)
    assert set(load_catalogue(catalogue).provider_models) == {"SORA"}
    names = {component.program.name for component in make_mesh(home, catalogue).components()}
    assert "providers" in names
    assert "providers" not in {component.program.name for component in make_mesh(home).components()}


def test_models_are_deployed_whose_weights_are_there(tmp_path: Path) -> None:
    models = yaml.safe_load(MODELS.read_text())
    models["models"]["MOCHI1"]["weights"] = "here"
    models["models"]["WAN"]["weights"] = "nowhere"
    (tmp_path / "models.yaml").write_text(yaml.safe_dump(models))
    (tmp_path / "here").mkdir()
    written = load_catalogue(write_catalogue(open_home(tmp_path / "home"), models=tmp_path / "models.yaml"))
    assert written.triton_models["MOCHI1"].weights == tmp_path / "here"
    assert "WAN" not in written.models
    shipped = load_catalogue(CATALOGUE)
    assert written.models["REFERENCE"] == shipped.models["REFERENCE"]
    assert written.default_model == shipped.default_model
