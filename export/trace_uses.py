"""Who uses a value of a traced network."""

from __future__ import annotations

import operator

from torch import fx

#: Whether the value of an fx node is a tuple of tensors, as neurons return; noted in its meta.
TUPLE = "tuple"


def is_item(node: fx.Node, index: int, of: int = 2) -> bool:
    """Whether an fx node picks one of a module's results, by its place from the front or from behind."""
    picks = node.op == "call_function" and node.target is operator.getitem
    return picks and isinstance(node.args[1], int) and node.args[1] in (index, index - of)


def goes_on(value: fx.Node) -> bool:
    """Whether something uses a value, other than handing it back behind the network's output."""
    for user in value.users:
        if user.op == "output":
            returned = user.args[0]
            first = returned[0] if isinstance(returned, tuple | list) and returned else returned
            if first is value:
                return True
        elif not (value.meta.get(TUPLE) and any(is_item(user, index) for index in (0, 1, 2))):
            return True
    return False
