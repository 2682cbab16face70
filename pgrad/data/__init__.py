"""Batches of one domain, in the order a roll-out needs them.

Every example belongs to one *domain*, named by an int or a string. A *mini-batch* is ``batch_size`` examples
of one domain, cut into ``splits`` *parts*. A *pass* takes one part of every domain, in a fresh order of the
domains. A *roll-out* is ``splits`` passes over the same mini-batches: ``T = splits x domains`` steps. An
*epoch of a domain* goes once through its examples in a fresh order and drops the incomplete last mini-batch.

Part ``i`` of ``B`` examples is ``[i * B // splits : (i + 1) * B // splits]``, the rule of the code released
with arXiv:2305.01134 (``splits=3`` there): disjoint parts that cover the mini-batch, sizes equal up to one.

Three ways to the same roll-out: `DomainBatchSampler` draws it from a dataset, `split_by_domain` takes a mixed
batch apart, `microbatches` cuts and orders the mini-batches one has. Domains are always in sorted order.
`ResumableLoader` is a DataLoader that knows its place in the stream, whatever its workers have fetched ahead.
"""

from pgrad.data.batches import microbatches, split_by_domain
from pgrad.data.domains import DomainBatchSampler
from pgrad.data.groups import GroupBatchSampler
from pgrad.data.loader import ResumableLoader

__all__ = ["DomainBatchSampler", "GroupBatchSampler", "ResumableLoader", "microbatches", "split_by_domain"]
