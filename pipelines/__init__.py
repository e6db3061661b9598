"""The middle floor: archives, workers, lakes. See the modules."""

import os

# Read by deltalake's allocator as it loads: without it, each of the dozens of threads that it makes
# for commits keeps memory of its own (1 MB each, measured). Writing alone takes 15 % longer.
os.environ.setdefault("_RJEM_MALLOC_CONF", "narenas:1,tcache:false")
