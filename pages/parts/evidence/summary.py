"""The first screen of a model: verdict, three figures, rival, worst failure, published figure, one picture."""

import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.errors import BundleError, EvaluationError
from cervix.evaluation.summary import Figure, Summary, summary_of
from cervix.evaluation.summary_chart import CAPTIONS, summary_figure
from cervix.plain_text import escaped
from pages.parts.shared.frame import STILL_CHART


def show_summary(bundle: Bundle, model: Model) -> None:
    """The whole screen; where a table of the bundle cannot be read, why."""
    try:
        summary = summary_of(bundle, model)
        figure = summary_figure(bundle, model, summary.picture) if summary.picture else None
    except (BundleError, EvaluationError) as error:
        st.error(escaped(str(error)), icon=":material/error:")
        return
    with st.container(key="evidence_summary"):
        st.markdown(f"**{escaped(model.title)}**. {escaped(summary.what)}")
        st.header(_unbroken(escaped(summary.verdict)), anchor=False)
        words, picture = st.columns([6, 5], gap="medium")
        with words:
            places = st.columns(len(summary.figures), border=True, gap="small") if summary.figures else []
            for place, shown in zip(places, summary.figures, strict=False):
                with place:
                    _show_figure(shown)
            _show_facts(summary)
        if figure is None or summary.picture is None:
            return
        with picture:
            caption = CAPTIONS[summary.picture]
            st.plotly_chart(figure, key=f"evidence_picture_{model.id}", config=STILL_CHART, alt=f"{summary.verdict} {caption}")
            st.caption(caption)


def _show_figure(figure: Figure) -> None:
    st.markdown(
        f"### {escaped(figure.value)} :small[{escaped(f'{figure.measure} {figure.interval}'.strip())}]\n\n"
        f"{escaped(figure.title)}\n\n:small[{escaped(f'{figure.n}; {figure.world}')}]"
    )


def _show_facts(summary: Summary) -> None:
    facts = (f"**{heading}.** {_unbroken(escaped(said))}" for heading, said in summary.facts.items())
    st.markdown("\n\n".join(facts))


def _unbroken(text: str) -> str:
    return text.replace(" %", "\N{NO-BREAK SPACE}%")
