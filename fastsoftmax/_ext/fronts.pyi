from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

def open_doors(doors: Any) -> None: ...
def fronted(function: Function) -> Function: ...
