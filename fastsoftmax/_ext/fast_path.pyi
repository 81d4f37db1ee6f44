from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

def use_kernels(table: Any, max_threads: int) -> None: ...
def with_fast_path(function: Function) -> Function: ...
