"""The pretrained networks whose outputs can be used as features: the trunks. Imports nothing heavy.

Another network of ``keras.applications`` is one line in `TRUNKS`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trunk:
    """A pretrained network.

    Parameters
    ----------
    name : str
    application : str
        Its name in ``keras.applications``.
    preprocessing : {"caffe", "tf", "torch", "none"}
        What it wants of pixels from 0 to 255: "caffe" blue first and the mean colour taken off; "tf" from -1 to 1; "torch" each colour to
        mean 0 and variance 1; "none" as they are, the network scales them itself.
    cuts : tuple of str
        Layers that are usually cut at, the default first. Any layer whose output is one tensor can be.
    blocks : str
        Regular expression of the layers that end a block; of those that match, the ones through which everything flows are taken (see
        `genre_models.trunks.facts`).
    meaning : str
        One line, shown to users.
    """

    name: str
    application: str
    preprocessing: str
    cuts: tuple[str, ...]
    blocks: str
    meaning: str


_ALL = (
    Trunk("vgg16", "VGG16", "caffe", ("block5_pool", "block4_pool", "block3_pool", "fc1", "fc2"), r"block\d_pool",
          "VGG16, 13 convolutions in 5 blocks (Simonyan and Zisserman 2015)"),
    Trunk("resnet50", "ResNet50", "caffe",
          ("conv5_block1_2_relu", "conv4_block3_out", "conv4_block6_out", "conv5_block1_out", "conv5_block3_out", "avg_pool"),
          r"pool1_pool|conv\d_block\d_out", "ResNet50, 16 residual blocks (He et al. 2016)"),
    Trunk("mobilenet", "MobileNet", "tf", ("conv_pw_12_relu", "conv_pw_5_relu", "conv_pw_11_relu", "conv_pw_13_relu"),
          r"conv1_relu|conv_pw_\d+_relu", "MobileNet, 13 depthwise-separable convolutions (Howard et al. 2017); light"),
    Trunk("efficientnet_b0", "EfficientNetB0", "none", ("top_activation", "block4c_add", "block5c_add", "block6d_add", "avg_pool"),
          r"stem_activation|block\d[a-z]_(add|project_bn)|top_activation",
          "EfficientNet-B0, 16 inverted bottlenecks (Tan and Le 2019); light"),
)  # fmt: skip

TRUNKS: dict[str, Trunk] = {trunk.name: trunk for trunk in _ALL}
