"""What decides the last bits of a result beside settings and code: libraries and variables.

Sources of :data:`VARIABLES`:

- PyTorch, "CUDA Environment Variables" and "Reproducibility" (docs.pytorch.org), and
  ``aten/src/ATen/native/DispatchStub.cpp`` for the capability of the CPU
- oneMKL Developer Guide, "Obtaining Numerically Reproducible Results" and "Using Additional
  Threading Control" (intel.com)
- oneDNN, "CPU Dispatcher Control" and "Floating-point Math Mode" (uxlfoundation.github.io/oneDNN)
- NVIDIA, cuBLAS "Results Reproducibility" and "Floating Point Emulation", cuDNN "API Logging and
  Environment Variables", and NCCL "Environment Variables" (docs.nvidia.com)
- OpenMP 5.2, chapter 21, for the variables that may lower the number of threads
- OpenBLAS and BLIS, which builds of PyTorch for other processors use
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Mapping
from typing import Any

VARIABLES = frozenset({
    # Kernels of PyTorch, and the backends that it chooses.
    "ATEN_CPU_CAPABILITY", "TORCH_BLAS_PREFER_CUBLASLT", "TORCH_BLAS_PREFER_HIPBLASLT",
    "TORCH_LINALG_PREFER_CUSOLVER", "TORCH_LINALG_PREFER_MAGMA", "TORCH_CUDNN_V8_API_DISABLED",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "DISABLE_ADDMM_CUDA_LT", "PYTORCH_MPS_FAST_MATH",
    "PYTORCH_MPS_PREFER_METAL", "PYTORCH_ENABLE_MPS_FALLBACK",
    "TORCHINDUCTOR_EMULATE_PRECISION_CASTS", "TORCHINDUCTOR_FREEZING", "TORCHINDUCTOR_MAX_AUTOTUNE",
    "TORCHINDUCTOR_USE_FAST_MATH",
    # oneMKL and oneDNN.
    "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "MKL_DEBUG_CPU_TYPE", "MKL_DYNAMIC",
    "MKL_BLAS_COMPUTE_MODE", "MKL_NUM_STRIPES", "MKL_DOMAIN_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_CPU_ISA_HINTS", "DNNL_CPU_ISA_HINTS",
    "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE",
    # OpenMP: fewer threads than asked for add in another order.
    "OMP_DYNAMIC", "OMP_THREAD_LIMIT", "KMP_DETERMINISTIC_REDUCTION", "KMP_FORCE_REDUCTION",
    # NVIDIA's and AMD's libraries.
    "CUBLAS_WORKSPACE_CONFIG", "CUBLASLT_WORKSPACE_SIZE", "CUBLAS_EMULATE_SINGLE_PRECISION",
    "CUBLAS_EMULATION_STRATEGY", "NVIDIA_TF32_OVERRIDE", "CUDNN_FRONTEND_DISABLE_TF32",
    "NCCL_ALGO", "NCCL_PROTO", "NCCL_NVLS_ENABLE", "HIPBLASLT_ALLOW_TF32",
    "ROCBLAS_INTERNAL_FP16_ALT_IMPL", "MIOPEN_DEBUG_CONVOLUTION_ATTRIB_FP16_ALT_IMPL",
    # BLAS on other processors.
    "OPENBLAS_CORETYPE", "BLIS_ARCH_TYPE",
})  # fmt: skip
# Values that lmlab itself sets.
_ITS_OWN = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


def numeric_environment(
    device_type: str, device_name: str, variables: Mapping[str, str] = os.environ
) -> dict[str, Any]:
    """Return versions, processor and variables that may change the last bits of a result.

    Args:
        device_type: of the device that computes: ``cpu``, ``cuda`` or ``mps``.
        device_name: product name of a GPU.
        variables: environment variables.

    Returns:
        ``torch`` and ``numpy``: versions. ``cpu``: the instructions that PyTorch's kernels use, on
        a CPU. ``gpu``: its name, with the versions of its libraries. ``variables``: those of
        :data:`VARIABLES` that are set.
    """
    return library_versions() | {
        **_processor(device_type, device_name),
        "variables": {
            name: variables[name]
            for name in sorted(VARIABLES & variables.keys())
            if variables[name] not in ("", _ITS_OWN.get(name))
        },
    }


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that compute."""
    import torch

    try:
        numpy = importlib.metadata.version("numpy")
    except importlib.metadata.PackageNotFoundError:
        numpy = "not installed"
    return {"torch": str(torch.__version__), "numpy": numpy}


def _processor(device_type: str, device_name: str) -> dict[str, str]:
    import torch

    if device_type == "cuda":
        libraries = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
        return {"gpu": f"{device_name}, {libraries}"}
    if device_type == "cpu":
        return {"cpu": str(torch.backends.cpu.get_cpu_capability())}
    return {}


def environment_of_session(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a session in ``meta.json`` recorded; of earlier versions, libraries only."""
    recorded = session.get("environment")
    if isinstance(recorded, Mapping):
        return dict(recorded)
    versions = session.get("versions")
    known = versions if isinstance(versions, Mapping) else {}
    return {name: known[name] for name in ("torch", "numpy") if name in known}


def environment_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """List what differs between two environments, as far as both are known: ``key: a -> b``."""
    found = []
    for key in before.keys() & now.keys() - {"variables"}:
        if before[key] != now[key]:
            found.append(f"{key}: {before[key]} -> {now[key]}")
    left, right = before.get("variables"), now.get("variables")
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        for name in left.keys() | right.keys():
            if left.get(name) != right.get(name):
                found.append(f"{name}: {left.get(name, 'unset')} -> {right.get(name, 'unset')}")
    return sorted(found)
