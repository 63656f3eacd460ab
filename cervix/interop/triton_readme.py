"""What lies beside a model repository: how to serve it, what of it was tried, and a KServe service."""

from typing import Final

from cervix import RESEARCH_NOTICE, __version__
from cervix.interop.proved_files import ProvedFiles
from cervix.plain_text import escaped

SERVICE: Final = "cervix-workbench"


def readme(files: ProvedFiles, names: list[str], version: int) -> str:
    """The README of an export, as Markdown."""
    manifest = files.manifest
    limits = "\n".join(f"- **{escaped(model.title)}**: {escaped(model.limits[0])}" for model in manifest.models)
    rows = "\n".join(
        f"| `{model.id}-{variant.precision}` | {escaped(model.title)} | "
        f"{'GPU' if variant.runs_on == 'cuda' else 'CPU'} | {', '.join(f'`{spec.name}`' for spec in model.inputs)} |"
        for model in manifest.models
        for variant in model.variants
    )
    return f"""# {escaped(manifest.name)} {manifest.version} for Triton and KServe

> **{RESEARCH_NOTICE}**

Written by Cervix Workbench {__version__} from the bundle {escaped(files.label)}.
A server that answers from these files gives what the models answer, and **not** what the app makes of it: whether a tile is
recognised, when there is no answer, the slide's rule, the guideline's step. Those are in the library (`cervix`).

{limits}

## What is here

| entry | model | made for | inputs |
|---|---|---|---|
{rows}

`models/` is the repository: for each entry `config.pbtxt`, `{version}/model.onnx` (the version of the bundle as one number),
`labels.txt` (the classes in the order of `probabilities`) and `warmup/`, the first golden case, which a server runs before it
says that it is ready. Preprocessing is in the graphs: tiles are raw RGB bytes, tables raw values with NaN for "not known".
Entries take batches and join requests of one shape; histories are joined where they have the same number of steps. A number a
case, such as `lengths`, is sent as `[batch, 1]`. `export.json` lists every file with its SHA-256.

## Serve

```
tritonserver --model-repository=models --model-control-mode=explicit \\
  {" ".join(f"--load-model={name}" for name in names if not name.endswith("fp16"))}
```

On a machine with a GPU load the `fp16` entry too. **Keep the port closed to others: Triton asks nobody who they are.**

KServe: copy `models/` to a volume or bucket, put its address into `inference-service.yaml` as `storageUri`, then
`kubectl apply -f inference-service.yaml`.

## What was tried, and what was not

When this was written, every variant answered its golden vectors within its tolerance ({escaped(files.cases)}). The project's
tests read `config.pbtxt` with Triton's own protobuf (tritonclient), hold names, types and dimensions against the graphs, and
replay golden vectors through what the configuration says. **No Triton server, no KServe and no Kubernetes was run.** Before you
rely on it, send the golden cases of the bundle to your server and compare.
"""


def inference_service(files: ProvedFiles) -> str:
    """A KServe ``InferenceService`` over the repository."""
    return f"""# {RESEARCH_NOTICE}
# Put the address of the folder "models" where storageUri is.
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {SERVICE}
  annotations:
    cervix-workbench/notice: "{RESEARCH_NOTICE}"
    cervix-workbench/bundle-sha256: "{files.sha256}"
spec:
  predictor:
    model:
      modelFormat:
        name: triton
      protocolVersion: v2
      storageUri: pvc://cervix-models/models
"""
