"""The files beside the versions: models.config for the server, README.md for its clients."""

import json
import string

import tensorflow as tf

from tfgen.serving.requests import example, size

# A longer request is written as a program that prints it.
_INLINE_SIZE = 16

_PAGE = string.Template("""\
# $name on TensorFlow Serving

```sh
docker run --rm -p 8500:8500 -p 8501:8501 \\
  --mount type=bind,source="$$PWD",target=$base_path \\
  tensorflow/serving --model_config_file=$base_path/models.config$xla
```

| signature | inputs | outputs |
| --- | --- | --- |
$table

`?` is the batch; where there are more, any size. Seeds are two int32 for each row; a row's answer
depends on its own inputs only.$tokens

## REST

The answer's `outputs` is an object by name, or, where there is one output, its value.

$rest

## gRPC

```python
import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

requests = {
$requests
}
with grpc.insecure_channel("localhost:8500") as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    for signature, inputs in requests.items():
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "$name"
        request.model_spec.signature_name = signature
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        outputs = stub.Predict(request, timeout=60).outputs
        print(signature, {key: tf.make_ndarray(value).shape for key, value in outputs.items()})
```

## Without a server

```sh
$cli
```
""")

_TOKENS = """

Numbers in {what} are those of symbols, from 0 on: `{version}/assets.extra/vocabulary.json` lists them."""


def models_config(name, base_path):
    """The server's `--model_config_file`, in text form.

    Args:
      name: Name under which the model is served.
      base_path: Absolute path or URI of the directory of versions, as the server sees it.

    Raises:
      ValueError: If the name or the path is none that a server takes.
    """
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    if not name or set(name) - set(string.ascii_letters + string.digits + "_-"):
        raise ValueError(f"name must be letters, digits, _ and -, got {name!r}.")
    if not base_path.startswith("/") and "://" not in base_path:
        raise ValueError(f"base_path must be absolute where the server runs, got {base_path!r}.")
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform="tensorflow")
    return text_format.MessageToString(config)


def vocabularies(model):
    """The symbols that tokens of a model are numbers of, lists by what holds the tokens: "x", "condition".

    Args:
      model: A `GenerativeModel`.
    """
    found = {} if model.text is None else {"x": list(model.text.symbols)}
    if model.condition is not None and model.condition.vocabulary is not None:
        found["condition"] = list(model.condition.vocabulary.symbols)
    return found


def readme(name, base_path, version, graphs, texts, symbols):
    """How to serve an export and what to ask it: REST, gRPC and `saved_model_cli`.

    Args:
      name: Name under which the model is served.
      base_path: Directory of versions as the server sees it.
      version: The version just exported.
      graphs: `tf.ConcreteFunction` by signature name.
      texts: A string that each signature answers, by its name.
      symbols: As `vocabularies` gives them; they are in the version's `assets.extra/vocabulary.json`.
    """
    inputs = {key: graph.structured_input_signature[1] for key, graph in graphs.items()}
    requests = {key: example(specs, 1, texts.get(key, "the")) for key, specs in inputs.items()}
    rows = (
        f"| `{key}` | {_columns(inputs[key])} | {_columns(graph.structured_outputs)} |"
        for key, graph in graphs.items()
    )
    compiled = any(key.endswith("_xla") for key in graphs)
    return _PAGE.substitute(
        name=name,
        base_path=base_path,
        xla=" \\\n  --xla_cpu_compilation_enabled=true" if compiled else "",
        table="\n".join(rows),
        tokens=_TOKENS.format(version=version, what=" and ".join(f"`{key}`" for key in symbols))
        if symbols
        else "",
        rest="\n\n".join(_rest(name, key, request) for key, request in requests.items()),
        requests="\n".join(_entry(key, request) for key, request in requests.items()),
        cli=_command_line(version, requests),
    )


def _columns(specs):
    shown = (
        f"`{key}` {spec.dtype.name} [{', '.join('?' if d is None else str(d) for d in spec.shape)}]"
        for key, spec in specs.items()
    )
    return ", ".join(shown)


def _rest(name, signature, request):
    url = f"http://localhost:8501/v1/models/{name}:predict"
    if size(request) <= _INLINE_SIZE:
        inputs = {key: value.tolist() for key, value in request.items()}
        body = json.dumps({"signature_name": signature, "inputs": inputs})
        return f"```sh\ncurl {url} -d '{body}'\n```"
    inputs = ", ".join(f'"{key}": {_nested(value)}' for key, value in request.items())
    body = f'{{"signature_name": "{signature}", "inputs": {{{inputs}}}}}'
    program = f"python3 -c 'import json; print(json.dumps({body}))'"
    return f"```sh\n{program} |\n  curl {url} -d @-\n```"


def _nested(array):
    """Python for nested lists of the array's first entry, e.g. `[[0.0] * 8] * 1`."""
    first = array.reshape(-1)[0]
    text = json.dumps(first if array.dtype == object else first.item())
    for dimension in reversed(array.shape):
        text = f"[{text}] * {dimension}"
    return text.replace("false", "False").replace("true", "True")


def _entry(signature, request):
    arrays = ", ".join(f"{json.dumps(key)}: {_array(value)}" for key, value in request.items())
    return f"    {json.dumps(signature)}: {{{arrays}}},"


def _array(array):
    if array.dtype == object:
        return f"np.full({list(array.shape)}, {json.dumps(array.reshape(-1)[0])}, object)"
    first, dtype = array.reshape(-1)[0].item(), f"np.{tf.as_dtype(array.dtype).name}"
    if not first:
        return f"np.zeros({list(array.shape)}, {dtype})"
    return f"np.full({list(array.shape)}, {first!r}, {dtype})"


def _command_line(version, requests):
    lines = [f"saved_model_cli show --dir {version} --all"]
    signature = min(requests, key=lambda key: size(requests[key]))
    # The shell's quotes are single ones.
    values = {key: str(value.tolist()).replace("'", '"') for key, value in requests[signature].items()}
    inputs = ";".join(f"{key}={value}" for key, value in values.items())
    lines.append(
        f"saved_model_cli run --dir {version} --tag_set serve --signature_def {signature} \\\n"
        f"  --input_exprs '{inputs}'"
    )
    return "\n".join(lines)
