"""Starting a retraining run: what, by which recipe, from here or by hand."""

from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from cervix.bundle import Bundle
from cervix.bundle.manifest import ModelId
from cervix.errors import RetrainingRefused
from cervix.plain_text import escaped
from cervix.retraining import (
    RECIPES,
    LabelCounts,
    RetrainingOrder,
    TrainingEnvironment,
    find_training_environment,
    obstacle,
    order_of,
    shown_command,
)
from cervix.retraining.command import LABELS_VARIABLE
from cervix.settings import get_settings
from pages.parts.improve.bundles.runs import desk
from pages.parts.improve.sample import show_empty
from pages.parts.shared.people import person
from pages.parts.shared.sandbox import in_sandbox

LOOK_AGAIN_S = 60
HIGHEST_SEED = 2**31 - 1
INSTALL = """python3.11 -m venv .venv-training
.venv-training/bin/pip install -r requirements-training.txt
export CERVIX_TRAINING_PYTHON="$PWD/.venv-training/bin/python"   # then start the app again"""


@st.cache_data(ttl=LOOK_AGAIN_S, show_spinner="Looking for the training environment …")
def _environment(named: Path | None) -> TrainingEnvironment:
    return find_training_environment(named)


@st.fragment
def show_order(bundle: Bundle, counts: dict[ModelId, LabelCounts]) -> None:
    """What can be retrained and by which recipe; started from here where the trainer is, else by an operator's command."""
    order = _choose(bundle, counts)
    if order is None:
        return
    environment = _environment(get_settings().training_python)
    if environment.usable:
        _show_start(order, environment)
    else:
        st.info(
            "This server has no trainer of its own, so somebody who operates it starts the run: the command is below.",
            icon=":material/engineering:",
        )
    with st.expander("For operators", icon=":material/terminal:"):
        if not environment.usable:
            st.caption(environment.problem)
        _show_command(order, str(environment.python) if environment.usable else ".venv-training/bin/python")
        if not environment.usable:
            st.markdown(
                "The trainer needs TensorFlow, which must not lie in the app's own environment (docs/adr/0003). In an "
                "environment of its own, made once in the same folder, it can then be started from this page:"
            )
            st.code(INSTALL, "bash", wrap_lines=True)


def _choose(bundle: Bundle, counts: dict[ModelId, LabelCounts]) -> RetrainingOrder | None:
    models_here = {name: bundle.manifest.model(name) for name in counts}
    why_not = {name: obstacle(model, counts[name]) for name, model in models_here.items()}
    ready = [name for name, why in why_not.items() if not why]
    reasons = [f"**{escaped(models_here[name].title)}:** {why}" for name, why in why_not.items() if why]
    if not ready:
        if not counts:
            st.info("The active bundle has no model that can be retrained from labels.", icon=":material/block:")
            return None
        show_empty(
            "\n\n".join(["Nothing can be retrained yet.", *reasons]),
            "retrain",
            ":material/new_label:",
            ("label", "Open the label desk"),
        )
        return None
    for reason in reasons:
        st.caption(reason)
    barred = not person().may_retrain
    if in_sandbox():
        st.info("In a sandbox nothing is retrained: its candidate was, beforehand, from these labels.", icon=":material/toys:")
    elif barred:
        st.info(f"You are here as a {person().role}: you can look, and an admin can start a run.", icon=":material/visibility:")
    models = st.pills(
        "Models to retrain",
        ready,
        selection_mode="multi",
        default=ready,
        format_func=lambda name: models_here[name].title,
        disabled=barred,
        key="retrain_models",
    )
    recipe = st.radio(
        "Recipe",
        list(RECIPES),
        format_func=lambda name: RECIPES[name].title,
        captions=[recipe.words for recipe in RECIPES.values()],
        disabled=barred,
        key="retrain_recipe",
    )
    seed = st.number_input(
        "Seed",
        0,
        HIGHEST_SEED,
        None,
        placeholder="The recipe's default",
        help="The same labels, recipe and seed give the same random numbers.",
        disabled=barred,
        width=220,
        key="retrain_seed",
    )
    if not models:
        st.caption("Choose at least one model.")
        return None
    return order_of(bundle, models, recipe, seed, person().name)


def _show_start(order: RetrainingOrder, environment: TrainingEnvironment) -> None:
    may = person().may_retrain
    started = st.button("Start", type="primary", icon=":material/model_training:", disabled=not may, key="retrain_start")
    if not (started and may):
        return
    try:
        desk().start(order, environment.python, get_settings().label_store_url)
    except RetrainingRefused as error:
        st.error(escaped(str(error)), icon=":material/error:")
        return
    st.rerun()


def _show_command(order: RetrainingOrder, python: str) -> None:
    settings = get_settings()
    name = str(st.session_state.setdefault("retrain_by_hand", f"candidate-{datetime.now(UTC):%Y%m%d-%H%M%S}-by-hand"))
    command = shown_command(order, settings.bundles_dir / name, settings.label_store_url, python)
    st.code(command, "bash", wrap_lines=True)
    if LABELS_VARIABLE in command:
        st.caption(f"The address of the labels is in {LABELS_VARIABLE}; it is not shown, since it may hold a password.")
