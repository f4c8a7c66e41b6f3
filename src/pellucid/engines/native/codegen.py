"""LLVM IR -> object code -> callable addresses.

Compiling and loading are separate steps: object code is plain bytes, so it can be cached on disk and loaded
later without running the compiler at all.

Compile time is a feature. The emitter writes loops in their final shape and shares loads itself, so three
cheap passes before code generation suffice. llvmlite lets only one thread into LLVM at a time; for code
generation, by far the longest part, that is not needed when every module has a context of its own, so
`compile_objects` goes around it.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from pellucid.engines.native.cpu import Target

PIPELINE = "sroa, instcombine, simplifycfg; codegen 3; pic, small"


def versions() -> str:
    """Everything besides IR and target that decides which object code comes out."""
    numbers = ".".join(map(str, llvm.llvm_version_info))
    return f"llvmlite {llvmlite.__version__}, LLVM {numbers}, passes {PIPELINE}"


@cache
def _initialize(host: bool) -> None:
    """Register LLVM's code generators: this machine's, or (slower) all of them for foreign assembly."""
    if host:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    else:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()


def _target_machine(target: Target) -> llvm.TargetMachine:
    _initialize(target.host)
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="small"
    )


def _prepare(text: str, target: Target) -> tuple[llvm.ModuleRef, llvm.TargetMachine]:
    """Parse and verify IR text and run the passes: stack slots to registers, clean-up, control flow.

    The rest of LLVM's standard pipeline would double the time and gains nothing on these kernels.
    """
    machine = _target_machine(target)
    module = llvm.parse_assembly(text, llvm.create_context())
    module.triple = target.triple
    module.verify()
    passes, builder = _passes(target)
    passes.run(module, builder)
    return module, machine


@cache
def _passes(target: Target) -> tuple[llvm.ModulePassManager, llvm.PassBuilder]:
    """The passes, made once for each target: llvmlite frees neither of the two, some kilobytes each time.

    Threads may share them, because llvmlite lets one at a time run them.
    """
    builder = llvm.create_pass_builder(_target_machine(target), llvm.create_pipeline_tuning_options(speed_level=2))
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    return passes, builder


def optimized(text: str, target: Target) -> str:
    """The IR after the passes, as text."""
    module, _ = _prepare(text, target)
    return str(module)


def assembly(text: str, target: Target) -> str:
    """What would be compiled, as readable assembly; works for foreign targets too."""
    module, machine = _prepare(text, target)
    return str(machine.emit_assembly(module))


def compile_object(text: str, target: Target) -> bytes:
    """Object code of a module given as IR text. Raises RuntimeError where the IR is not well formed."""
    module, machine = _prepare(text, target)
    return _emit(module, machine)


def compile_objects(texts: Iterable[str], target: Target, workers: int = 1) -> list[bytes]:
    """Object code of several modules, compiled by several threads at a time, the first while the next is written."""
    if workers <= 1:
        return [compile_object(text, target) for text in texts]
    with _short_turns(), ThreadPoolExecutor(workers, "pellucid-compile") as pool:
        return list(pool.map(lambda text: compile_object(text, target), texts))


_turns = threading.Lock()
_compiling, _usual = 0, 0.005
TURN = 0.0002  # seconds


@contextmanager
def _short_turns() -> Iterator[None]:
    """Let Python's threads change places every 0.2 ms while this lasts, not every 5 ms.

    A compiling thread asks for the interpreter some twenty times per module, between calls into LLVM. While another
    thread writes kernels without a pause, each of these times costs a whole turn: at 5 ms the compiling threads stand
    still until all is written. ResNet-50's training step takes 9.4 s to compile that way, and 8.3 s this way.
    """
    global _compiling, _usual
    with _turns:
        if _compiling == 0:
            _usual = sys.getswitchinterval()
            sys.setswitchinterval(min(TURN, _usual))
        _compiling += 1
    try:
        yield
    finally:
        with _turns:
            _compiling -= 1
            if _compiling == 0:
                sys.setswitchinterval(_usual)


@cache
def _unlocked_emit() -> Any:
    """The code generation entry point of llvmlite through a handle of our own, which takes no global lock.

    Safe because a module, its context and its target machine are used by one thread only. (Two threads
    compile 16 kernels in 0.13 s this way and in 0.27 s through the lock.)
    """
    function = ctypes.CDLL(llvm.ffi.lib._name).LLVMPY_TargetMachineEmitToMemory
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)]
    function.restype = ctypes.c_void_p
    return function


def _emit(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> bytes:
    error = ctypes.c_char_p()
    pointers = (ctypes.cast(thing._as_parameter_, ctypes.c_void_p) for thing in (machine, module))
    buffer = _unlocked_emit()(*pointers, 1, ctypes.byref(error))
    if not buffer:
        raise RuntimeError(f"LLVM could not generate code: {(error.value or b'no reason given').decode()}")
    library = llvm.ffi.lib
    reference = ctypes.cast(buffer, llvm.ffi.LLVMMemoryBufferRef)
    try:
        start, size = library.LLVMPY_GetBufferStart(reference), library.LLVMPY_GetBufferSize(reference)
        return ctypes.string_at(start, size)
    finally:
        library.LLVMPY_DisposeMemoryBuffer(reference)


class Loaded:
    """Object code loaded into this process. Addresses stay valid until it is closed or collected."""

    def __init__(self, objects: Sequence[bytes], target: Target) -> None:
        """Raises ValueError for a target this machine cannot run, RuntimeError for damaged object code."""
        if not target.host:
            raise ValueError(f"target {target.name} cannot run on this machine; only its assembly can be printed")
        machine = _target_machine(target)
        # In the global context: within a reference cycle, Python might drop one of its own before the engine.
        backing = llvm.parse_assembly("")
        backing.triple = target.triple
        self._engine = llvm.create_mcjit_compiler(backing, machine)
        for data in objects:
            self._engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(data))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Address of a function; raises KeyError if there is none of that name."""
        address = int(self._engine.get_function_address(name))
        if not address:
            raise KeyError(f"no function '{name}' in the loaded object code")
        return address

    def close(self) -> None:
        """Free the code. Addresses handed out before must not be called any more."""
        self._engine.close()
