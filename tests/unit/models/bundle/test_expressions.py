"""What `$` expressions may say, and a long list of attacks that must be refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models.bundle.expressions import Expression, imports_of
from models.bundle.methods import Closure, Refused

VALUES: dict[str, Any] = {
    "root": "/bundle",
    "flag": True,
    "numbers": [3, 1, 2],
    "table": {"a": {"b": 7}},
    "table::a": {"b": 7},
    "tensor": torch.arange(6.0).reshape(2, 3),
    "module": torch.nn.Conv3d(1, 2, 3),
    "array": np.arange(4),
}
IMPORTS = imports_of(
    ["$import glob", "$import os", "$import numpy as np", "$import copy", "$import json",
     "$import pathlib", "$from monai.transforms import Activations", "$import sys, subprocess",
     "$import subprocess", "$import monai.transforms.io.array as io", "$import builtins"]
)  # fmt: skip
SERVED = {"torch.load": lambda path: f"loaded {path}", "torch.cuda.is_available": lambda: False}


def resolve(identifier: str) -> Any:
    return VALUES[identifier]


def value(text: str) -> Any:
    return Expression(text, IMPORTS, SERVED, lambda path: {"path": path}).evaluate(resolve)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@root + '/models/' + ('a.pt' if @flag else 'b.pt')", "/bundle/models/a.pt"),
        ("(not @flag)", False),
        ("@table#a#b" if False else "@table#a['b'] + 1", 8),
        ("list(set([i + 1 for i in range(5)]) - set([2, 4]))", [1, 3, 5]),
        ("list(range(2)) + [4] * 2", [0, 1, 4, 4]),
        ("sorted(@numbers, key=lambda n: -n)", [3, 2, 1]),
        ("[(a, b) for a, b in zip(@numbers, 'xyz') if a > 1]", [(3, "x"), (2, "z")]),
        ("{k: v for k, v in @table.items()}", {"a": {"b": 7}}),
        ("{**@table, 'c': 1}['c']", 1),
        ("max(*@numbers, 9)", 9),
        ("f'{@root}/{3.14159:.2f}'", "/bundle/3.14"),
        ("'{}-{name}'.format(1, name='x')", "1-x"),
        ("'%s_%d' % (@root, 3)", "/bundle_3"),
        ("os.path.join(@root, 'models', 'model.pt')", "/bundle/models/model.pt"),
        ("'cuda' if torch.cuda.is_available() else 'cpu'", "cpu"),
        ("torch.load(@root + '/x.pt')", "loaded /bundle/x.pt"),
        ("1 < 2 <= 2 and 3 in @numbers or None", True),
        ("(lambda a, b=2: a * b)(4)", 8),
        ("[f() for f in [lambda: i for i in range(3)]]", [2, 2, 2]),
        ("np.float32", np.float32),
        ("numpy.array([1, 2]).tolist()", [1, 2]),
        ("torch.float32", torch.float32),
        ("@tensor.shape[1]", 3),
        ("str(monai.utils.BlendMode.GAUSSIAN)", "gaussian"),
        ("monai.networks.layers.Norm.BATCH", "BATCH"),
        ("json.loads(pathlib.Path(@root + '/metadata.json').read_text())",
         {"path": "/bundle/metadata.json"}),
        ("  [1.5, 1.5]  ", [1.5, 1.5]),
        ("copy.deepcopy(@numbers)", [3, 1, 2]),
    ],
)  # fmt: skip
def test_what_published_bundles_say(text: str, expected: Any) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


def test_networks_and_transforms() -> None:
    made = value("monai.networks.nets.UNet(spatial_dims=3, in_channels=1, out_channels=2, "
                 "channels=(4, 8), strides=(2,))")  # fmt: skip
    assert type(made).__name__ == "UNet"
    assert value("Activations(softmax=True)")(torch.zeros(2, 4)).tolist() == [[0.5] * 4] * 2
    moved = value("@module.to('cuda:0')")
    assert moved is VALUES["module"] and next(moved.parameters()).device.type == "cpu"
    assert value("torch.nn.Softmax(dim=0)(torch.zeros(2))").tolist() == [0.5, 0.5]


def test_a_lambda_runs_later_and_is_not_copied_with_what_holds_it() -> None:
    import copy

    merge = value(
        "lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, "
        "torch.where(x[[1]] > 0, 2, 0)))"
    )
    assert isinstance(merge, Closure)
    assert copy.deepcopy([merge])[0] is merge
    assert merge(torch.tensor([[1.0], [1.0], [0.0]])).tolist() == [[1]]
    with pytest.raises(TypeError):
        merge()


ATTACKS = [
    # straight to code
    "__import__('os').system('id')",
    "eval('1+1')",
    "exec('import os')",
    "compile('1', '', 'eval')",
    "open('/etc/passwd').read()",
    "globals()",
    "vars()",
    "locals()",
    "getattr(torch, 'load')",
    "setattr(torch.backends.cudnn, 'benchmark', True)",
    "hasattr(torch, 'os')",
    "type(@tensor)",
    "dir(torch)",
    "input()",
    "breakpoint()",
    "help()",
    "print(1)",
    "object()",
    "super()",
    "id(@tensor)",
    "map(str, [1])",
    "iter([1])",
    # underscores
    "().__class__.__bases__[0].__subclasses__()",
    "@tensor.__class__",
    "[].__class__",
    "(lambda: 0).__globals__",
    "(lambda: 0).__code__",
    "@module._modules",
    "torch.__dict__",
    "torch._C",
    "np.__builtins__",
    "monai.__loader__",
    "__builtins__",
    "_",
    "@tensor.__reduce__()",
    "''.__class__.__mro__",
    "[x.__class__ for x in [1]]",
    "__reference_7",
    # text formats that look into objects
    "'{0.__class__}'.format(1)",
    "'{0[0]}'.format([1])",
    "'{x.y}'.format(x=@tensor)",
    "'{:{}}'.format(1, 9999999)",
    "'{:>{w}}'.format(1, w=10**9)",
    "str.format('{0.__class__}', 1)",
    "'{}'.format_map({})",
    "f'{@tensor.__class__}'",
    "f'{1:1000000000}'",
    "'%999999999d' % 1",
    "'%*d' % (999999999, 1)",
    # modules of modules
    "torch.os",
    "torch.os.system('id')",
    "torch.sys.modules",
    "numpy.os.listdir('/')",
    "np.sys",
    "np.ctypeslib.ctypes",
    "monai.utils.module.os",
    "monai.utils.module.import_module('os')",
    "monai.utils.optional_import('os')",
    "monai.utils.module.locate('os.system')",
    "monai.utils.instantiate('os.system', 'default', command='id')",
    "monai.transforms.io.array.os",
    "monai.transforms.io.array.LoadImage()('/etc/passwd')",
    "io.LoadImage()",
    "monai.transforms.LoadImage()",
    "monai.transforms.SaveImage()",
    "monai.transforms.LoadImaged(keys='image')",
    "monai.transforms.utils_create_transform_ims",
    "monai.transforms.torch",
    "monai.networks.nets.torch",
    "monai.networks.nets.unet.warnings",
    "monai.networks.nets.hovernet.os",
    "monai.networks.nets.hovernet.HoVerNet()",
    "monai.apps.download_url('http://x', '/tmp/x')",
    "monai.apps.utils.urlretrieve",
    "monai.apps.detection.transforms.dictionary.np",
    "monai.bundle.ConfigParser()",
    "monai.bundle.load('x')",
    "monai.data.load_decathlon_datalist('x')",
    "monai.data.PersistentDataset([], None, '/tmp')",
    "monai.data.NibabelReader()",
    "monai.fl.client",
    "monai.config.print_config()",
    "monai.networks.utils.convert_to_onnx",
    "monai.networks.layers.gmm.GaussianMixtureModel(1, 1)",
    "monai.inferers.inferer.torch",
    # torch and numpy that reach outside
    "torch.save([1], '/tmp/x')",
    "torch.hub.load('a/b', 'c')",
    "torch.hub.load_state_dict_from_url('http://x')",
    "torch.jit.load('/tmp/x')",
    "torch.utils.cpp_extension.load('x', ['x.cpp'])",
    "torch.utils.data.DataLoader([])",
    "torch.package.PackageImporter('/tmp/x')",
    "torch.serialization.load('/tmp/x')",
    "torch.classes.load_library('/tmp/x.so')",
    "torch.ops.load_library('/tmp/x.so')",
    "torch.from_file('/etc/passwd', size=10)",
    "torch.library",
    "torch.multiprocessing.spawn",
    "torch.distributed.init_process_group()",
    "torch.cuda.set_device(0)",
    "torch.backends.cudnn",
    "torch.storage",
    "torch.nn.modules.module.torch",
    "torch.nn.parallel.DataParallel",
    "torch.nn.functional.torch",
    "torch.nn.functional.os",
    "torch.load.__globals__",
    "np.load('/tmp/x.npy', allow_pickle=True)",
    "np.save('/tmp/x', [1])",
    "np.savez('/tmp/x')",
    "np.loadtxt('/etc/passwd')",
    "np.genfromtxt('/etc/passwd')",
    "np.fromfile('/etc/passwd')",
    "np.memmap('/etc/passwd')",
    "np.ctypeslib.load_library('c', '/lib')",
    "np.f2py",
    "np.lib",
    "np.testing",
    "np.array([1]).tofile('/tmp/x')",
    "@array.dump('/tmp/x')",
    "@array.ctypes",
    "@array.data",
    "@tensor.storage()",
    "@tensor.register_hook(str)",
    "@module.load_state_dict({})",
    "@module.apply(str)",
    "@module.register_forward_hook(lambda m, i, o: o)",
    "@module.state_dict()",
    # modules that are not bound
    "os.system('id')",
    "os.environ",
    "os.path.os",
    "os.path.exists('/etc/passwd')",
    "glob.glob('/*')",
    "subprocess.run('id')",
    "sys.modules",
    "pathlib.Path('/etc/passwd').read_text()",
    "pathlib.Path('/tmp').unlink()",
    "json.load(open('x'))",
    "json.loads('{}')",
    "json.loads(pathlib.Path('/a').parent.read_text())",
    "json.loads(pathlib.Path('/a').read_text('utf-8'))",
    "json.loads(pathlib.Path('/a', '/b').read_text())",
    "json.loads(pathlib.Path('/a').read_bytes())",
    "json.loads(pathlib.Path('/a').read_text(), object_hook=torch.nn.Linear)",
    "json.loads(s=pathlib.Path('/a').read_text())",
    "[json, pathlib]",
    "builtins.eval('1')",
    "scripts.inferer.X()",
    "copy.sys",
    "copy.weakref",
    "copy",
    "torch",
    "[torch]",
    "[m.load for m in [torch]]",
    "(lambda m: m.os)(torch)",
    # syntax
    "(x := 1)",
    "await x",
    "(yield 1)",
    "[x async for x in y]",
    "import os\nos.system('id')",
    "1; 2",
    "lambda *a: a",
    "lambda **k: k",
    "@tensor @ @tensor",
    "'a text with @root in it'",
    "lambda torch: torch.os",
    "[torch for torch in [1]]",
    # hidden in what isn't run, or only later
    "1 if True else os.system('id')",
    "lambda x: os.system('id')",
    "lambda x: x.__class__",
    "False and eval('1')",
    "[eval for x in []]",
    # called in another's name
    "sorted([1], key=str)",
    "sorted([1], key=torch.tensor)",
    "max([1], key=monai.networks.nets.EfficientNetBN)",
    "[f('efficientnet-b0') for f in [monai.networks.nets.EfficientNetBN]]",
    "[f('x') for f in [torch.nn.Softmax]]",
    "(monai.networks.nets.UNet, 1)[0](3, 1, 1, (2, 4), (2,))",
    "@table(1)",
    "list[int].__origin__",
    # weights from afar
    "monai.networks.nets.EfficientNetBN('efficientnet-b0')",
    "monai.networks.nets.resnet50(True)",
    "monai.networks.nets.resnet50(pretrained='/tmp/x')",
    "monai.networks.nets.DenseNet121(spatial_dims=2, in_channels=3, out_channels=1, "
    "pretrained=True)",
    # the memory
    "'a' * 10**9",
    "[0] * 10**9",
    "10**10**10",
    "9**9**9",
    "(2**4096)**4096",
    "list(range(10**12))",
    "'x'.join(['a'] * 10**5)",
    "'aaaaaaaaaa'.replace('', 'b' * 9999)",
    "[list(range(99999)) for i in range(99999)]",
    "[0 for a in range(9999) for b in range(9999)]",
    "sum([[0] * 9999] * 9999, [])",
    "(lambda f: f(f))(lambda f: f(f))",
    "(" * 150 + "1" + ")" * 150 + " + " + "1" * 20000,
    "-" * 5000 + "1",
]


@pytest.mark.parametrize("text", ATTACKS, ids=lambda text: text[:60])
def test_attacks_are_refused(text: str) -> None:
    # A limit on sizes may also show as the error that Python or torch itself raises.
    with pytest.raises((Refused, ValueError, TypeError, RecursionError)) as refusal:
        value(text)
    if not text.startswith(("list(range", "sum(", "sorted", "max(", "(lambda f")):
        assert refusal.type is Refused


def test_only_listed_modules_are_bound() -> None:
    assert set(IMPORTS) == {
        "monai", "torch", "np", "numpy", "os", "copy", "Activations", "io",
    }  # fmt: skip


def test_a_lambda_within_a_pipeline_has_a_limit_of_steps() -> None:
    slow = value("lambda x: [0 for a in range(9999) for b in range(9999)]")
    with pytest.raises(Refused, match="steps"):
        slow(1)
