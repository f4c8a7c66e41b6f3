"""LLVM IR -> object code -> callable addresses.

Compiling and loading are separate steps: object code is plain bytes, so it can be cached on disk, made in another
process, and loaded without running the compiler at all.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache

import llvmlite
import llvmlite.binding as llvm

from pellucid.engines.native.cpu import Target


@cache
def _initialize(foreign: bool) -> None:
    """Register LLVM's code generators: the host's, or (slower) all of them for foreign assembly."""
    if foreign:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    else:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()


def _target_machine(target: Target) -> llvm.TargetMachine:
    _initialize(not target.host)
    return llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=3, reloc="pic", codemodel="small"
    )


def optimize(text: str, target: Target) -> tuple[llvm.ModuleRef, llvm.TargetMachine]:
    """Parse and verify IR text, then run the passes the generators rely on.

    The emitter writes loops in their final shape and shares loads itself, so three passes suffice: stack slots to
    registers, local clean-up, and control flow. Everything else that LLVM's standard pipeline does costs compile
    time here and gains nothing (measured in bench/contraction.py).
    """
    module = llvm.parse_assembly(text, llvm.create_context())
    module.triple = target.triple
    module.verify()
    machine = _target_machine(target)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, builder)
    return module, machine


def compile_object(text: str, target: Target) -> bytes:
    """Object code of a module given as IR text."""
    module, machine = optimize(text, target)
    return bytes(machine.emit_object(module))


def assembly(text: str, target: Target) -> str:
    """What compile_object would produce, as readable assembly; works for foreign targets too."""
    module, machine = optimize(text, target)
    return str(machine.emit_assembly(module))


class Loaded:
    """Object code loaded into this process. Addresses stay valid until `close`, or until this object is collected."""

    def __init__(self, objects: list[bytes], target: Target) -> None:
        if not target.host:
            raise ValueError(
                f"target {target.name} cannot run on this machine; only its assembly can be printed"
            )
        machine = _target_machine(target)
        backing = llvm.parse_assembly("", llvm.create_context())
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
        self._engine.close()
