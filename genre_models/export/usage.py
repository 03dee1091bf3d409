"""The text beside an exported model: a program that runs as it stands, from a file of the kind to its class."""

from __future__ import annotations

from typing import Any

from genre_models.sound_networks import NETWORKS

_INSTALL = {
    "onnx": "onnxruntime numpy",
    "tflite": "ai-edge-litert numpy",
    "saved_model": "tensorflow numpy",
}
_FEATURES_NEED = {"audio": " librosa", "image": " pillow", "handcrafted": "", **dict.fromkeys(NETWORKS, ""), "table": ""}

_OPEN = {
    "onnx": '''import onnxruntime

session = onnxruntime.InferenceSession(os.path.join(here, "{file}"))
about = json.loads(session.get_modelmeta().custom_metadata_map["description"])


def probabilities(x):
    return session.run(["probabilities"], {{"features": x}})[0]
''',
    "tflite": '''import zipfile

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    import tensorflow as tf

    Interpreter = tf.lite.Interpreter

interpreter = Interpreter(model_path=os.path.join(here, "{file}"))
about = json.loads(zipfile.ZipFile(os.path.join(here, "{file}")).read("description.json"))


def probabilities(x):
    place = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(place, x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(place, x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
''',
    "saved_model": '''import tensorflow as tf

loaded = tf.saved_model.load(os.path.join(here, "{file}"))
with open(os.path.join(here, "{file}", "assets.extra", "description.json"), encoding="utf-8") as stream:
    about = json.load(stream)


def probabilities(x):
    return loaded.serve(tf.constant(x)).numpy()
''',
}

_FEATURES = {
    "audio": '''
def features(path):
    import librosa

    f = about["features"]
    y, sr = librosa.load(path, sr=f["sr"], mono=True, duration=f["clip_seconds"])
    y = librosa.util.fix_length(y, size=round(f["clip_seconds"] * sr))
    power = np.abs(librosa.stft(y, n_fft=f["n_fft"], hop_length=f["hop_length"])) ** 2
    mel = librosa.feature.melspectrogram(S=power, sr=sr, n_fft=f["n_fft"], n_mels=f["n_mels"])
    if mel.max() <= 1e-10:  # silence
        return np.zeros((*mel.shape, 1), "float32")
    db = librosa.power_to_db(mel / mel.max(), ref=1.0, top_db=80.0)
    x = (db + 80) / 80 if f["normalise"] == "unit" else (db - db.mean()) / max(db.std(), 1e-6)
    return x.astype("float16").astype("float32")[..., None]
''',
    "image": '''
def features(path):
    from PIL import Image

    f = about["features"]
    height, width = f["image_size"]
    image = Image.open(path)
    if image.mode[0] in "IF":  # 16 bits a pixel
        image = Image.fromarray((np.clip(np.asarray(image, "float64"), 0, 65535) / 257).astype("uint8"))
    image = image.convert("RGBA")  # what is transparent shows black
    image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image).convert("L" if f["colour"] == "grey" else "RGB")
    x = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), "float32")
    return x[..., None] if f["colour"] == "grey" else x
''',
    "vector": '''
def features(path):
    from genre_models.features import compute_features  # a vector of the sound; run this where Genre Search is installed

    return compute_features(about["kind"], about["features"], path)
''',
    "table": '''
def features(path):
    import csv

    with open(path, encoding="utf-8-sig", newline="") as stream:
        return np.array([[float(row[name]) for name in about["columns"]] for row in csv.DictReader(stream)], "float32")
''',
}

_ASK = {
    "windows": '''
x = features(sys.argv[1])
width = x.shape[1] // about["segments"]
windows = np.stack([x[:, k * width : (k + 1) * width] for k in range(about["segments"])])
p = probabilities(windows).mean(axis=0)  # of the track: the mean of its windows'
for number in p.argsort()[::-1][:3]:
    print(f"{about['labels'][number]} {p[number]:.4f}")
''',
    "vector": '''
p = probabilities(features(sys.argv[1])[None])[0]
for number in p.argsort()[::-1][:3]:
    print(f"{about['labels'][number]} {p[number]:.4f}")
''',
    "table": '''
for p in probabilities(features(sys.argv[1])):  # a row of the table each; a track with several rows is their mean
    print(f"{about['labels'][p.argmax()]} {p.max():.4f}")
''',
}


def usage_text(description: dict[str, Any], to: str, file: str) -> str:
    """A Python program with what has to be said before it as comments.

    Parameters
    ----------
    description : dict
        From `genre_models.export.description.describe`.
    to : {"onnx", "tflite", "saved_model"}
    file : str
        Name of the exported file.
    """
    kind = description["kind"]
    model = " ".join(f"{description['family']} of study {description['study']}, trial {description['trial']}".split())  # a comment has one line
    head = (
        f"# {file}: {model}: {len(description['labels'])} classes, by {description['input']['values']}.\n"
        f"# Needs: pip install {_INSTALL[to]}{_FEATURES_NEED[kind]}\n"
        f"# Run: python THIS_FILE {'TABLE.csv' if kind == 'table' else 'FILE'}\n"
        f"# Input {description['input']['shape']} float32, output {description['output']['shape']} float32, in the order of the labels.\n"
    )
    is_vector = kind not in _FEATURES
    ask = _ASK["table" if kind == "table" else "vector" if is_vector else "windows"]
    opened = _OPEN[to].format(file=file)
    begin = f"{head}import json\nimport os\nimport sys\n\nimport numpy as np\n\nhere = os.path.dirname(os.path.abspath(__file__))\n\n"
    return f"{begin}{opened}\n{_FEATURES['vector' if is_vector else kind]}\n{ask}"
