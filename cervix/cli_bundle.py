"""``python -m cervix bundle``: what a bundle is, whether it holds, packing, signing, adding, promoting, exporting."""

import argparse
import getpass
from pathlib import Path
from typing import Final

import pandas as pd
from tqdm import tqdm

from cervix import RESEARCH_NOTICE
from cervix.bundle.active import SHIPPED, active_bundle, active_root, promotion_line
from cervix.bundle.loading import read_manifest
from cervix.bundle.manifest import UNEVALUATED
from cervix.bundle.signature import signature_words
from cervix.bundle.signing import sign_bundle
from cervix.card.bundle_info import info_apart
from cervix.card.hub import export_hub
from cervix.card.packing import opened, pack_bundle
from cervix.errors import PromotionRefused
from cervix.interop.triton import export_triton
from cervix.labels import open_store
from cervix.patients.golden import GoldenTables, prove_variants
from cervix.promotion.adding import ADDED, add_listed, labels_there
from cervix.promotion.comparison import BundleComparison, compare_bundles
from cervix.promotion.promote import NOT_PROMOTED, promote, refusals_kept, roll_back
from cervix.promotion.proving import FAILED, checked_apart, load_candidate, verified_rows
from cervix.promotion.registry import read_registry
from cervix.settings import get_settings
from cervix.sources.downloads import Arriving

EXIT_REFUSED: Final = 1
COMMAND_LINE: Final = "command line"
"""Who did it where nobody is named: asking the system fails for a user it does not know, as in a container."""
ZIP_OR_FOLDER: Final = "folder of the bundle, or a zip of one (default: the active one)"


def add_bundle_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", device: argparse.ArgumentParser
) -> None:
    """Everything under ``bundle``."""
    bundle = commands.add_parser("bundle", help="inspect, pack, sign, add, promote and roll back bundles").add_subparsers(
        required=True, metavar="COMMAND"
    )
    by = argparse.ArgumentParser(add_help=False)
    by.add_argument("--by", default=COMMAND_LINE, help="who does it, for the audit trail")

    verify = bundle.add_parser("verify", parents=[device], help="check hashes, signatures and golden vectors")
    verify.add_argument("path", type=Path, nargs="?", help=ZIP_OR_FOLDER)
    verify.set_defaults(run=_verify)
    info = bundle.add_parser("info", help="what a bundle says of itself; no model is run")
    info.add_argument("path", type=Path, nargs="?", help=ZIP_OR_FOLDER)
    info.set_defaults(run=_info)
    bundle.add_parser("active", help="which bundle is active, and since when").set_defaults(run=_active)

    packed = bundle.add_parser("pack", parents=[device], help="write a bundle as one zip, once it has proved itself")
    packed.add_argument("--path", type=Path, help="folder of the bundle (default: the active one)")
    packed.add_argument("--out", type=Path, required=True, help="zip to write")
    packed.set_defaults(run=_pack)
    signed = bundle.add_parser("sign", help="sign a bundle with a private key; the signature lies beside its manifest")
    signed.add_argument("folder", type=Path)
    signed.add_argument("--key", type=Path, required=True, help="private key as PEM: P-256, P-384 or P-521")
    signed.add_argument("--ask-password", action="store_true", help="ask for the key's password")
    signed.set_defaults(run=_sign)
    bundle.add_parser("registry", help="list the bundles of the registry").set_defaults(run=_registry)
    added = bundle.add_parser("add", parents=[by], help="fetch a bundle of the registry, prove it and keep it")
    added.add_argument("name", metavar="NAME[@VERSION]")
    added.set_defaults(run=_add)

    promoted = bundle.add_parser("promote", parents=[by], help="make a candidate the active bundle, by the promotion rules")
    promoted.add_argument("folder", type=Path, help="its folder, or that folder's name under bundles in the app's home")
    promoted.add_argument("--reason", default="", help="why, where the rules say to keep the active bundle")
    promoted.set_defaults(run=_promote)
    bundle.add_parser("roll-back", parents=[by], help="take back the last promotion").set_defaults(run=_roll_back)

    exported = bundle.add_parser("export", parents=[device], help="write a bundle for other servers")
    exported.add_argument("path", type=Path, nargs="?", help="folder of the bundle (default: the active one)")
    where = exported.add_mutually_exclusive_group(required=True)
    where.add_argument("--triton", type=Path, metavar="DIR", help="a model repository for Triton and KServe")
    where.add_argument("--huggingface", type=Path, metavar="DIR", help="a folder for the Hugging Face hub")
    exported.set_defaults(run=_export)


def _verify(options: argparse.Namespace) -> int:
    path = options.path or active_root(get_settings())
    with opened(path) as root:
        # A zip is somebody else's: it proves itself where it can do no harm.
        rows = checked_apart(root) if root != path else verified_rows(prove_variants(root, device=options.device))
        manifest, sha256 = read_manifest(root)
        print(pd.DataFrame(rows).to_string(index=False))
        print(f"{manifest.name} {manifest.version}, manifest SHA-256 {sha256}; {signature_words(root, manifest, sha256)}")
        for model in manifest.models:
            if not model.is_evaluated:
                print(f"{model.id}: {UNEVALUATED}")
    return EXIT_REFUSED if any(row["verdict"] == FAILED for row in rows) else 0


def _info(options: argparse.Namespace) -> int:
    with opened(options.path or active_root(get_settings())) as root:
        print("\n".join(info_apart(root)))
    print(RESEARCH_NOTICE)
    return 0


def _active(options: argparse.Namespace) -> int:
    del options
    active = active_bundle(get_settings())
    print(f"{active.label} in {active.root}")
    for promotion in reversed(active.line.promotions):
        why = f", against the rules, because: {promotion.reason}" if promotion.reason else ""
        when = f"{promotion.promoted_at:%Y-%m-%d %H:%M} UTC"
        print(f"{promotion.folder}: {promotion.label}, promoted {when} by {promotion.promoted_by}{why}")
    print(f"{'before them: ' if active.line.promotions else ''}{SHIPPED}")
    return 0


def _pack(options: argparse.Namespace) -> int:
    sha256 = pack_bundle(options.path or active_root(get_settings()), options.out, device=options.device)
    print(f"written to {options.out}: {options.out.stat().st_size:,} bytes, SHA-256 {sha256}. {RESEARCH_NOTICE}")
    return 0


def _sign(options: argparse.Namespace) -> int:
    sha256 = sign_bundle(options.folder, options.key, getpass.getpass("Password of the key: ") if options.ask_password else "")
    print(f"signed: the manifest with SHA-256 {sha256}, and every file that it lists")
    return 0


def _registry(options: argparse.Namespace) -> int:
    del options
    settings = get_settings()
    registry, there = read_registry(settings), labels_there(settings)
    for listed in registry.bundles:
        kept = "; on this server" if (listed.name, listed.version) in there else ""
        print(f"{listed.name}@{listed.version}  {listed.bytes / 1e6:,.1f} MB  {listed.licence}{kept}")
        print(f"  {listed.summary}")
    if not registry.bundles:
        print("The registry lists no bundle.")
    return 0


def _add(options: argparse.Namespace) -> int:
    settings = get_settings()
    listed = read_registry(settings).find(options.name)
    with tqdm(total=listed.bytes, unit="B", unit_scale=True, desc=listed.label, disable=None) as bar:

        def show(step: Arriving) -> None:
            bar.update(step.done_bytes - bar.n)

        folder = add_listed(listed, settings, arriving=show)
    with open_store(settings.label_store_url) as store:
        store.audit_append(options.by, ADDED, listed.label, {"folder": folder.name, "sha256": listed.sha256})
    print(f"kept as {folder.name}. {RESEARCH_NOTICE}")
    return 0


def _promote(options: argparse.Namespace) -> int:
    settings = get_settings()
    named = settings.bundles_dir / options.folder
    folder = named if named.is_dir() else options.folder
    with open_store(settings.label_store_url) as store:
        with refusals_kept(store, options.by, NOT_PROMOTED, folder.name):
            active = active_bundle(settings).load(settings.device, GoldenTables())
            comparison = compare_bundles(active, load_candidate(folder, device=settings.device))
        print_comparison(comparison)
        promotion = promote(settings, folder, comparison, store, options.by, reason=options.reason)
    print(f"promoted: {promotion.label}. {RESEARCH_NOTICE}")
    return 0


def _roll_back(options: argparse.Namespace) -> int:
    settings = get_settings()
    line = promotion_line(settings)
    if not line.promotions:
        raise PromotionRefused("There is no promotion to take back", found=SHIPPED)
    with open_store(settings.label_store_url) as store:
        bundle = roll_back(settings, line.promotions[-1], store, options.by)
    print(f"active again: {bundle.label}")
    return 0


def _export(options: argparse.Namespace) -> int:
    root = options.path or active_root(get_settings())
    if options.triton:
        names = export_triton(root, options.triton, device=options.device)
        print(f"{len(names)} models written to {options.triton}: {', '.join(names)}. {RESEARCH_NOTICE}")
    else:
        export_hub(root, options.huggingface, device=options.device)
        print(f"written to {options.huggingface}; nothing was uploaded. {RESEARCH_NOTICE}")
    return 0


def print_comparison(comparison: BundleComparison) -> None:
    """The rulings of every changed model, and the verdict."""
    print(f"{comparison.candidate} beside {comparison.active}")
    for model in comparison.changed:
        for ruling in model.rulings:
            print(f"{model.title}: {ruling.rule}: {ruling.finding} ({ruling.found})")
    print(comparison.verdict)
