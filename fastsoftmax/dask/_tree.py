"""Sums over partitions in a fixed tree: the bits do not depend on who adds what.

The partitions are the leaves, in their order; neighbours are added, then neighbouring pairs, and so
on. A node is named by the partitions below it, (start, stop). Whoever holds all leaves below a node
may add them up; the client does the rest.
"""


def _middle(start, stop):
    """Return where a node is cut: its left part is the largest power of two below its size."""
    return start + (1 << ((stop - start - 1).bit_length() - 1))


def add_neighbours(values, n_leaves):
    """Return the sums of the largest nodes whose leaves are all in `values`, a dict by node."""
    found = {}

    def total(start, stop):
        if (start, stop) in values:
            return values[start, stop]
        if stop - start <= 1:
            return None
        middle = _middle(start, stop)
        left, right = total(start, middle), total(middle, stop)
        if left is not None and right is not None:
            return left + right
        for part, value in (((start, middle), left), ((middle, stop), right)):
            if value is not None:
                found[part] = value
        return None

    whole = total(0, n_leaves)
    return found if whole is None else {(0, n_leaves): whole}


def tree_sum(values, n_leaves):
    """Return the sum of all leaves, given as sums of nodes that cover each of them once."""
    found = add_neighbours(values, n_leaves)
    if set(found) != {(0, n_leaves)}:
        raise ValueError(f"the nodes must cover {n_leaves} leaves, got {sorted(values)}")
    return found[0, n_leaves]
