"""The bundle in brief, as programs are told of it."""

from cervix import __version__
from cervix.api.told import BundleTold, ModelTold
from cervix.bundle import Bundle


def bundle_told(bundle: Bundle) -> BundleTold:
    """Which models a bundle has, what they run on, and what they are not for."""
    manifest = bundle.manifest
    return BundleTold(
        name=manifest.name,
        version=manifest.version,
        sha256=bundle.sha256,
        stage=manifest.stage,
        app_version=__version__,
        models=[
            ModelTold(
                id=model.id,
                kind=model.kind,
                title=model.title,
                precision=bundle.session(model.id).variant.precision,
                runs_on=bundle.session(model.id).device_label,
                classes=model.class_titles,
                questions={task.id: task.title for task in model.derived_tasks},
                thresholds={threshold.task: threshold.value for threshold in model.thresholds},
                intended_use=model.intended_use,
                limits=model.limits,
            )
            for model in manifest.models
        ],
    )
