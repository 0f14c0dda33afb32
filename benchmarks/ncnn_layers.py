"""ncnn's Winograd convolutions as a torch module, layer by layer and naively: each call copies in and out."""

import struct
import tempfile
from pathlib import Path

import ncnn
import torch

LAYER = "7767517\n2 2\nInput in 0 1 in\nConvolution out 1 1 in out 0={k} 1=3 4=1 5=1 6={count}\n"


class Convolution(torch.nn.Module):
    """3×3, padding 1, frozen; the layer from colours stays in torch, as ncnn isn't faster there."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.first = weight.shape[1] == 3
        if not self.first:
            self.forwards = _net(weight, bias)
            flipped = weight.flip(2, 3).transpose(0, 1).contiguous()
            self.backwards = _net(flipped, torch.zeros(len(flipped)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.first:
            return torch.nn.functional.conv2d(x, self.weight, self.bias, padding=1)
        return _Both.apply(x, self.forwards, self.backwards)


class _Both(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, forwards, backwards):
        ctx.backwards = backwards
        return _run(forwards, x)

    @staticmethod
    def backward(ctx, gradient):
        return _run(ctx.backwards, gradient), None, None


def _run(net: ncnn.Net, x: torch.Tensor) -> torch.Tensor:
    extractor = net.create_extractor()
    extractor.input("in", ncnn.Mat(x[0].contiguous().numpy()))
    return torch.tensor(extractor.extract("out")[1].numpy())[None]


def _net(weight: torch.Tensor, bias: torch.Tensor) -> ncnn.Net:
    net = ncnn.Net()
    net.opt.num_threads = torch.get_num_threads()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    with tempfile.TemporaryDirectory() as folder:
        parameters, values = Path(folder, "layer.param"), Path(folder, "layer.bin")
        parameters.write_text(LAYER.format(k=weight.shape[0], count=weight.numel()), encoding="ascii")
        values.write_bytes(struct.pack("<I", 0) + weight.numpy().tobytes() + bias.numpy().tobytes())
        if net.load_param(str(parameters)) or net.load_model(str(values)):
            raise RuntimeError("ncnn didn't take the layer.")
    return net
