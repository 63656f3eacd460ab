"""What takes something from outside, each with inputs made to harm it and the way that such an input really goes."""

import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from benchmarks.hostile.mutate import (
    ODD_NAMES,
    ODD_TEXTS,
    Rng,
    damaged,
    damaged_json,
    damaged_table,
    deep_json,
    hostile_png,
    hostile_tiff,
    hostile_zip,
)
from cervix.settings import PROJECT_ROOT, get_settings

BUNDLE = PROJECT_ROOT / "bundle"
TILES_READ = 4
UNMEANT_STATUS = 500


class Target:
    """Something that takes input from outside."""

    writes: ClassVar[tuple[str, ...]] = ("tmp", "user")
    """Folders below the worker's own that an input may change."""
    turn_s: ClassVar[float] = 10.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, rng: Rng) -> Any:
        raise NotImplementedError

    def attempt(self, given: Any) -> None:
        """Try it as the app would. Whatever is raised is judged by who called."""
        raise NotImplementedError

    @contextmanager
    def file(self, suffix: str, content: bytes) -> Iterator[Path]:
        """The content as a file in a folder that is gone afterwards."""
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / f"input{suffix}"
            path.write_bytes(content)
            yield path


@dataclass(frozen=True)
class Sent:
    """Files as a browser sends them: the name of each, and its bytes."""

    files: list[tuple[str, bytes]]


class Uploads(Target):
    """Slides through the upload route: put, finished, opened, looked at, drawn."""

    writes = ("home/uploads", "tmp", "user")
    turn_s = 30.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from starlette.applications import Starlette
        from starlette.testclient import TestClient

        from cervix.slides.phantom import PHANTOM_SPACING_UM_PX, phantom_region
        from cervix.slides.pyramid import write_pyramid
        from cervix.web import UploadGrant, routes, upload_tokens

        self._grant = lambda: (grant := UploadGrant(), upload_tokens.grant(grant))
        self._client = TestClient(Starlette(routes=routes))
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "seed.tiff"
            write_pyramid(path, phantom_region(700, 600, seed=3), PHANTOM_SPACING_UM_PX)
            self.seeds = {".tiff": [path.read_bytes()]}
        picture = Image.fromarray(np.random.default_rng(0).integers(150, 250, (500, 600, 3), np.uint8))
        for kind, suffix in (("PNG", ".png"), ("JPEG", ".jpg")):
            buffer = io.BytesIO()
            picture.save(buffer, kind)
            self.seeds[suffix] = [buffer.getvalue()]
        for variable in ("CERVIX_DATA", "CERVIX_CASES"):
            for path in sorted((Path(os.environ[variable]) / "slides").rglob("*")) if variable in os.environ else ():
                if (
                    path.is_file()
                    and path.suffix.lower() in (".svs", ".tif", ".tiff", ".jpg", ".png")
                    and path.stat().st_size < 4 << 20
                ):
                    self.seeds.setdefault(path.suffix.lower(), []).append(path.read_bytes())

    def make(self, rng: Rng) -> Sent:
        kind = int(rng.integers(10))
        if kind == 0:
            return Sent([(f"a{rng.choice(['.tif', '.svs', '.ndpi', '.scn', '.bif'])}", hostile_tiff(rng))])
        if kind == 1:
            return Sent([("a.png", hostile_png(rng))])
        suffix = sorted(self.seeds)[int(rng.integers(len(self.seeds)))]
        seeds = self.seeds[suffix]
        seed = seeds[int(rng.integers(len(seeds)))]
        if kind == 2:
            names = {f"{name}{suffix}": seed for name in ("slide", "case/second", "__MACOSX/._slide")}
            return Sent([("a.zip", hostile_zip(rng, names))])
        if kind == 3:
            odd = ODD_NAMES[int(rng.integers(len(ODD_NAMES)))]
            main = ("d/J.mrxs", seed[:1000])
            return Sent([main, (f"d/J/{odd}", seed[:2000])] if rng.random() < 0.7 else [main, (odd, seed[:2000])])
        sent_as = suffix if rng.random() < 0.9 else str(rng.choice([".svs", ".dcm", ".czi", ".mrxs", ".ndpi", ".tif"]))
        return Sent([(f"a{sent_as}", damaged(rng, seed))])

    def attempt(self, given: Sent) -> None:
        grant, token = self._grant()
        upload = hashlib.sha256(b"".join(content[:64] for _, content in given.files)).hexdigest()[:32]
        address = f"/slides/upload/{token}/{upload}"
        for number, (name, content) in enumerate(given.files):
            answer = self._client.put(
                f"{address}/{number}",
                content=content,
                headers={
                    "Upload-Offset": "0",
                    "Upload-Length": str(len(content)),
                    "Upload-Name": quote(name, errors="replace"),
                },
            )
            self._judge(answer)
        self._judge(self._client.post(address))
        try:
            for path in grant.finished.get(upload, []):
                self._look_at(path)
        finally:
            self._client.delete(address)
            shutil.rmtree(get_settings().uploads_dir, ignore_errors=True)
        if upload not in grant.finished:
            raise REFUSED

    @staticmethod
    def _judge(answer: Any) -> None:
        if answer.status_code >= UNMEANT_STATUS and answer.status_code != 507:
            raise RuntimeError(f"status {answer.status_code}: {answer.text[:200]}")

    @staticmethod
    def _look_at(path: Path) -> None:
        from cervix.slides.deepzoom import render_slide_tile
        from cervix.slides.tissue import find_tissue
        from cervix.sources.opening import open_slide

        slide = open_slide(path)
        if slide.spacing_um_px is None:
            slide = slide.with_spacing(0.5)
        find_tissue(slide)
        for z in range(3):
            render_slide_tile(slide, z, 0, 0)
        rng = np.random.default_rng(0)
        for _ in range(TILES_READ):
            slide.read_tile(int(rng.integers(slide.width_l0_px)), int(rng.integers(slide.height_l0_px)), 0, 224, 224)


class Tables(Target):
    """Patient tables: read, put right, and as cases of one's own with outcomes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from cervix.patients.sample import sample_table_csv
        from cervix.patients.visit_sample import sample_visits_csv

        self.seeds = [sample_table_csv(12), sample_visits_csv(6)]
        if "CERVIX_CASES" in os.environ:
            for path in sorted((Path(os.environ["CERVIX_CASES"]) / "patients").glob("*.csv")):
                self.seeds.append(path.read_text(encoding="utf-8-sig", errors="replace"))

    def make(self, rng: Rng) -> bytes:
        seed = self.seeds[int(rng.integers(len(self.seeds)))]
        return damaged_table(rng, seed)

    def attempt(self, given: bytes) -> None:
        from cervix.errors import CervixError
        from cervix.patients.corrected import corrected_copy
        from cervix.patients.visits import read_table

        with self.file(".csv", given) as path:
            with suppress(CervixError):  # the reader below says the same of it
                corrected_copy(given)
            read_table(path)


class Labels(Target):
    """Label files: events as CSV and parquet, QuPath objects, backups."""

    writes = ("home", "tmp", "user")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from cervix.labels import LabelEvent, open_store, tile_case
        from cervix.labels.files.moving import back_up, export_labels

        self._place = Path(tempfile.mkdtemp())
        self.store = open_store(f"sqlite:///{self._place / 'labels.sqlite'}")
        self.store.declare_classes("tile", ["benign", "scc", "ac"])
        slide = "a" * 64
        tiles = [tile_case(slide, at * 448, 0, 448, 0.5, np.full((224, 224, 3), 40 * at, np.uint8)) for at in range(4)]
        self.store.add_cases(tiles)
        for case in tiles:
            self.store.record(LabelEvent(case.id, "Dr Reed", "label", "scc"))
        self.seeds: dict[str, bytes] = {}
        for suffix in (".csv", ".parquet", ".geojson"):
            path = self._place / f"labels{suffix}"
            export_labels(self.store, path, "benchmark", slide_sha256=slide)
            self.seeds[suffix] = path.read_bytes()
        back_up(self.store, self._place / "backup.sqlite", "benchmark")
        self.seeds[".sqlite"] = (self._place / "backup.sqlite").read_bytes()

    def make(self, rng: Rng) -> tuple[str, bytes]:
        suffix = sorted(self.seeds)[int(rng.integers(len(self.seeds)))]
        seed = self.seeds[suffix]
        if suffix == ".csv":
            return suffix, damaged_table(rng, seed.decode())
        if suffix == ".geojson":
            if rng.random() < 0.2:
                return suffix, deep_json(rng)
            if rng.random() < 0.6:
                return suffix, json.dumps(damaged_json(rng, json.loads(seed))).encode()
        return suffix, damaged(rng, seed)

    def attempt(self, given: tuple[str, bytes]) -> None:
        from cervix.labels import open_store
        from cervix.labels.files.moving import import_labels

        suffix, content = given
        with self.file(suffix, content) as path:
            if suffix == ".sqlite":
                with open_store(f"sqlite:///{path.parent / 'fresh.sqlite'}") as store:
                    store.restore(path)
            else:
                import_labels(self.store, path, "benchmark", slide_sha256="a" * 64, reader="Dr Reed")


class LabelledTiles(Target):
    """Zips of labelled tiles, for measuring the model on one's own cases."""

    writes = ("home", "tmp", "user")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from cervix.bundle import load_bundle

        self.session = load_bundle(BUNDLE, device="cpu").session_of("tile")
        buffer = io.BytesIO()
        Image.fromarray(np.random.default_rng(0).integers(100, 250, (224, 224, 3), np.uint8)).save(buffer, "PNG")
        self.tile = buffer.getvalue()

    def make(self, rng: Rng) -> bytes:
        tile = hostile_png(rng) if rng.random() < 0.4 else self.tile
        table = damaged_table(rng, "path,label\na/1.png,scc\na/2.png,benign\n")
        members = (
            {"scc/1.png": tile, "benign/2.png": self.tile} if rng.random() < 0.5 else {"a/1.png": tile, "labels.csv": table}
        )
        return hostile_zip(rng, members)

    def attempt(self, given: bytes) -> None:
        from cervix.evaluation.labelled_tiles import labelled_tiles

        labelled_tiles(given, self.session)


class Manifests(Target):
    """Manifests of bundles, and the model card of what passes."""

    turn_s = 15.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.manifest = json.loads((BUNDLE / "manifest.json").read_bytes())
        self._bundle: Any = None

    def make(self, rng: Rng) -> bytes:
        if rng.random() < 0.05:
            return deep_json(rng)
        if rng.random() < 0.2:
            return damaged(rng, json.dumps(self.manifest).encode(), head=80_000)
        return json.dumps(damaged_json(rng, self.manifest)).encode("utf-8", "surrogatepass")

    def attempt(self, given: bytes) -> None:
        from dataclasses import replace

        from cervix.bundle import load_bundle
        from cervix.bundle.loading import read_manifest
        from cervix.card.formats import card_file

        with tempfile.TemporaryDirectory() as place:
            (Path(place) / "manifest.json").write_bytes(given)
            manifest, sha256 = read_manifest(Path(place))
        if self._bundle is None:
            self._bundle = load_bundle(BUNDLE, device="cpu")
        if {model.id for model in manifest.models} == set(self._bundle.sessions):
            card_file(replace(self._bundle, manifest=manifest, sha256=sha256), "xml")


class Graphs(Target):
    """Candidate bundles whose graphs or golden vectors were made by somebody else, with hashes that fit."""

    turn_s = 30.0
    writes = ("home/bundles", "tmp", "user")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        manifest = json.loads((BUNDLE / "manifest.json").read_bytes())
        manifest["models"] = [model for model in manifest["models"] if model["id"].startswith("risk-factors")]
        manifest["files"] = [file for file in manifest["files"] if file["path"].startswith("risk-factors")]
        self.manifest = manifest
        self.contents = {file["path"]: (BUNDLE / file["path"]).read_bytes() for file in manifest["files"]}

    def make(self, rng: Rng) -> dict[str, bytes]:
        graphs = [name for name in self.contents if name.endswith(".onnx")]
        name = graphs[int(rng.integers(len(graphs)))]
        kind = int(rng.integers(6))
        if kind == 0:
            golden = name.replace("fp32.onnx", "golden.npz")
            return {golden: damaged(rng, self.contents[golden], head=len(self.contents[golden]))}
        if kind == 1:
            return {name: self._hostile_graph(rng, self.contents[name])}
        if kind == 2:
            table = name.replace("fp32.onnx", "predictions.parquet")
            return {table: damaged(rng, self.contents[table])}
        return {name: damaged(rng, self.contents[name])}

    @staticmethod
    def _hostile_graph(rng: Rng, content: bytes) -> bytes:
        """The graph with a node before its own that never ends, or that asks for more than there is."""
        model = onnx.load_model_from_string(content)
        big = int(rng.choice([10**6, 10**9, 10**12]))
        shape = helper.make_tensor("hostile_shape", TensorProto.INT64, [2], [big, 4])
        trips = helper.make_tensor("hostile_trips", TensorProto.INT64, [], [1 << 62])
        going = helper.make_tensor("hostile_going", TensorProto.BOOL, [], [True])
        body = helper.make_graph(
            [helper.make_node("Identity", ["c_in"], ["c_out"])],
            "body",
            [
                helper.make_tensor_value_info("i", TensorProto.INT64, []),
                helper.make_tensor_value_info("c_in", TensorProto.BOOL, []),
            ],
            [helper.make_tensor_value_info("c_out", TensorProto.BOOL, [])],
        )
        nodes: list[Callable[[], onnx.NodeProto]] = [
            lambda: helper.make_node("ConstantOfShape", ["hostile_shape"], ["hostile_out"]),
            lambda: helper.make_node("Loop", ["hostile_trips", "hostile_going"], [], body=body),
            lambda: helper.make_node("Expand", ["hostile_going", "hostile_shape"], ["hostile_out"]),
            lambda: helper.make_node("Tile", ["hostile_shape", "hostile_shape"], ["hostile_out"]),
            lambda: helper.make_node("Nothing", [], ["hostile_out"], domain="evil.example"),
            lambda: helper.make_node(
                "Constant", [], ["hostile_out"], value=helper.make_tensor("v", TensorProto.FLOAT, [big], [0.0][:1])
            ),
        ]
        try:
            node = nodes[int(rng.integers(len(nodes)))]()
        except ValueError:  # the helper refuses a tensor that lies about its size; the graph is damaged by hand instead
            return damaged(rng, content)
        model.graph.initializer.extend([shape, trips, going])
        model.graph.node.insert(0, node)
        return bytes(model.SerializeToString())

    def attempt(self, given: dict[str, bytes]) -> None:
        from cervix.evaluation.heldout import held_out_cases
        from cervix.promotion.candidates import keep_bundle

        contents = self.contents | given
        manifest = json.loads(json.dumps(self.manifest))
        for entry in manifest["files"]:
            content = contents[entry["path"]]
            entry["bytes"], entry["sha256"] = len(content), hashlib.sha256(content).hexdigest()
        import zipfile

        from cervix.bundle import load_bundle

        with tempfile.TemporaryDirectory() as place:
            packed = Path(place) / "candidate.zip"
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr("manifest.json", json.dumps(manifest))
                for name, content in contents.items():
                    archive.writestr(name, content)
            kept = keep_bundle(packed, get_settings().bundles_dir)
            try:
                bundle = load_bundle(kept, device="cpu")
                for session in bundle.sessions.values():
                    held_out_cases(bundle, session.model)
            finally:
                shutil.rmtree(get_settings().bundles_dir, ignore_errors=True)


class Routes(Target):
    """The custom routes, asked for what no page of ours asks."""

    writes = ("home/uploads", "tmp", "user")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from starlette.applications import Starlette
        from starlette.testclient import TestClient

        from cervix.slides.phantom import PHANTOM_SPACING_UM_PX, phantom_region
        from cervix.slides.pyramid import write_pyramid
        from cervix.sources.opening import open_slide
        from cervix.web import UploadGrant, open_view, routes, upload_tokens

        path = folder / "tmp" / "seen.tiff"
        path.parent.mkdir(exist_ok=True, parents=True)
        write_pyramid(path, phantom_region(700, 600, seed=3), PHANTOM_SPACING_UM_PX)
        self._slide = open_slide(path)
        self._tokens = lambda: [upload_tokens.grant(UploadGrant()), open_view(self._slide), "guessed", "", "../..", "%00"]
        self._client = TestClient(Starlette(routes=routes))

    def make(self, rng: Rng) -> dict[str, Any]:
        def one(*values: Any) -> Any:
            return values[int(rng.integers(len(values)))]

        number = one("0", "1", "-1", "1" * 5000, "0x1", "٣", "1.5", "20001", "")
        upload = one("0123456789abcdef" * 2, "../" * 10, "0" * 32, "g" * 32, "%2e%2e")
        text = str(ODD_TEXTS[int(rng.integers(len(ODD_TEXTS)))])
        name = str(ODD_NAMES[int(rng.integers(len(ODD_NAMES)))])
        headers = {
            "Upload-Offset": one("0", "-1", "1" * 5000, "x", "1e9"),
            "Upload-Length": one("4", "0", "-4", "9" * 30, "x", str(1 << 62)),
            "Upload-Name": quote(one(name, "a.svs", text[:2000]), errors="replace"),
        }
        if rng.random() < 0.4:
            headers["Origin"] = one(
                "http://[", "null", "http://evil.example", "x", "http://testserver", "http://testserver:99999999"
            )
        if rng.random() < 0.2:
            headers["Host"] = one("evil.example", "testserver", "[", "a" * 300, "127.0.0.1:x")
        for dropped in [key for key in list(headers) if rng.random() < 0.1]:
            del headers[dropped]
        token = int(rng.integers(6))
        place = one(
            f"upload/{{token}}/{upload}/{number}",
            f"upload/{{token}}/{upload}",
            f"{{token}}/{one('slide', 'scc', name[:50], '..')}/"
            f"{one('0', '1', '-1', '60', '9' * 400)}/{one('0', '1', '9' * 400)}/{one('0', '1', '9' * 30)}",
        )
        method = one("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS")
        return {"method": method, "place": place, "token": token, "headers": headers, "body": one(b"", b"abcd", bytes(5000))}

    def attempt(self, given: dict[str, Any]) -> None:
        address = "/slides/" + given["place"].format(token=self._tokens()[given["token"]])
        try:
            answer = self._client.request(
                given["method"],
                quote(address, safe="/%"),
                headers=given["headers"],
                content=given["body"],
                follow_redirects=False,
            )
        except (UnicodeEncodeError, ValueError) as error:
            if "cervix" not in str(error.__traceback__):
                raise REFUSED from error  # the client itself cannot send such a thing
            raise
        if answer.status_code >= UNMEANT_STATUS:
            raise RuntimeError(f"status {answer.status_code}: {answer.text[:200]}")
        if answer.status_code >= 400:
            raise REFUSED


def _refused() -> Exception:
    from cervix.errors import UploadRefused

    return UploadRefused("The route refused it")


REFUSED = _refused()

TARGETS: dict[str, type[Target]] = {
    "uploads": Uploads,
    "tables": Tables,
    "labels": Labels,
    "labelled-tiles": LabelledTiles,
    "manifests": Manifests,
    "graphs": Graphs,
    "routes": Routes,
}
