"""Which kind of case the open step is about."""

import streamlit as st

from cervix.labels.store.cases import KINDS, Kind


def choose_kind(label: str, key: str) -> Kind:
    """Tiles or women, side by side.

    Parameters
    ----------
    label : what the choice is for, for those who do not see it
    """
    kind: Kind = st.segmented_control(
        label,
        list(KINDS),
        default="tile",
        format_func=lambda kind: KINDS[kind].title,
        key=key,
        required=True,
        label_visibility="collapsed",
    )
    return kind
