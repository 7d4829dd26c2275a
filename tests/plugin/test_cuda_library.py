"""What can be known of heddle-cuda.so without a GPU: what it is made of, that loading it does nothing, and that a machine
without a driver gets one line and computes on the CPU.

    HEDDLE_BUILD=build HEDDLE_PLUGIN_DIR=build/cuda/plugins/cuda/library python3 -m unittest -v test_cuda_library
"""

import ctypes
import json
import os
import re
import subprocess
import unittest
from pathlib import Path

FOLDER = Path(os.environ.get("HEDDLE_PLUGIN_DIR", "build/cuda/plugins/cuda/library"))
LIBRARY = FOLDER / "heddle-cuda.so"
PROGRAM = Path(os.environ.get("HEDDLE_BUILD", "build")) / "heddle"
ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "plugins/cuda"
DECLARED = ROOT / "tests/plugin/cuda_sim/include"
HEADERS = next(ROOT.glob("build/venv-cuda/lib/python3*/site-packages/nvidia/cu13/include"), None)  # tools/cuda_toolkit.sh
VERSION = int(re.search(r"#define HD_PLUGIN_VERSION (\d+)", (ROOT / "include/heddle/plugin.h").read_text())[1])
TEXT_BYTES = 256

ALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_size_t)
FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
LOG = ctypes.CFUNCTYPE(None, ctypes.c_bool, ctypes.c_char_p)


class Host(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("size", ctypes.c_uint32), ("alloc", ALLOC), ("free", FREE), ("log", LOG)]


def has_driver():
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@unittest.skipUnless(LIBRARY.exists(), f"there is no plugin {LIBRARY}")
class Library(unittest.TestCase):
    def test_exports_the_entry_alone(self):
        names = [line.split()[-1] for line in output("nm", "-D", "--defined-only", str(LIBRARY)).splitlines()]
        self.assertEqual(names, ["hd_plugin_begin"])

    def test_needs_the_c_library_alone(self):
        needed = set(re.findall(r"NEEDED.*\[(.*)\]", output("readelf", "-d", str(LIBRARY))))
        self.assertLessEqual(needed, {"libc.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux-x86-64.so.2"})

    def test_has_no_constructors(self):
        """What any shared library of this compiler's has, one made of nothing included, is the compiler's own."""
        def n_bytes(path):
            found = re.search(r"\(INIT_ARRAYSZ\)\s+(\d+)", output("readelf", "-d", str(path)))
            return int(found[1]) if found else 0

        empty = LIBRARY.with_name("empty.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", str(empty), "-"], input="", text=True, check=True)
        self.assertEqual(n_bytes(LIBRARY), n_bytes(empty))

    def test_every_kernel_is_there(self):
        """In the file that the host's list says: fat binaries are compressed, their sources are read instead."""
        listed = re.findall(r"X\((\w+), (k_\w+)\)", (SOURCES / "kernels.h").read_text())
        written = [(path.stem, name) for path in SOURCES.glob("*.cu")
                   for name in re.findall(r'^extern "C" __global__ .*\b(k_\w+)\(', path.read_text(), re.M)]
        self.assertEqual(sorted(listed), sorted(written))

    def begin(self, version):
        said = ctypes.create_string_buffer(TEXT_BYTES)
        lines = []
        host = Host(version, ctypes.sizeof(Host), ALLOC(lambda n: None), FREE(lambda p: None),
                    LOG(lambda warns, line: lines.append(line)))
        entry = ctypes.CDLL(str(LIBRARY)).hd_plugin_begin
        entry.restype = ctypes.c_void_p
        return entry(ctypes.byref(host), said), said.value.decode(), lines

    def test_refuses_another_version(self):
        table, said, _ = self.begin(VERSION + 1)
        self.assertIsNone(table)
        self.assertEqual(said, f"this Heddle has version {VERSION + 1} of the plugin interface, version {VERSION} is needed")

    @unittest.skipIf(has_driver(), "this machine has a driver")
    def test_says_what_is_missing(self):
        for _ in range(2):  # it may be asked again
            table, said, lines = self.begin(VERSION)
            self.assertIsNone(table)
            self.assertRegex(said, r"^NVIDIA's driver is not there: libcuda\.so\.1: [^\n]*; "
                                   r"a driver for CUDA 13\.0 \(580 or later\) is needed$")
            self.assertEqual(lines, [])

    @unittest.skipIf(has_driver(), "this machine has a driver")
    def test_the_cpu_computes(self):
        done = subprocess.run([str(PROGRAM), "info", "--json"], env={**os.environ, "HEDDLE_PLUGIN_DIR": str(FOLDER)},
                              capture_output=True, text=True, check=True)
        self.assertEqual(json.loads(done.stdout)["gpus"], [])
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("the CPU computes: ", done.stderr)
        self.assertIn("NVIDIA's driver is not there", done.stderr)


@unittest.skipUnless(HEADERS, "NVIDIA's headers are not here")
class Declarations(unittest.TestCase):
    def test_numbers_are_nvidias(self):
        """What the simulated GPU declares by hand: every number and the size of every struct that is passed on."""
        texts = [(DECLARED / name).read_text() for name in ("cuda.h", "cublasLt.h")]
        numbers = re.findall(r"\b(CU[A-Z]*_\w+) = (\d+)", "".join(texts))
        versions = re.findall(r"#define (cu\w+) (cu\w+)", texts[0])
        self.assertGreater(len(numbers), 30)
        self.assertGreater(len(versions), 5)
        lines = ["#include <cuda.h>", "#include <cublasLt.h>", "#include <stddef.h>", "#define T(x) #x", "#define TEXT(x) T(x)"]
        lines += [f'_Static_assert({name} == {value}, "{name}");' for name, value in numbers]
        lines += [f'_Static_assert(sizeof TEXT({name}) == sizeof "{version}", "{name}");' for name, version in versions]
        lines += ['_Static_assert(sizeof(cublasLtMatmulAlgo_t) == 64, "algorithm");',
                  '_Static_assert(sizeof(cublasLtMatmulHeuristicResult_t) == 96, "result");',
                  '_Static_assert(offsetof(cublasLtMatmulHeuristicResult_t, state) == 72, "state");']
        done = subprocess.run(["cc", "-fsyntax-only", f"-I{HEADERS}", "-x", "c", "-"], input="\n".join(lines) + "\n",
                              text=True, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
