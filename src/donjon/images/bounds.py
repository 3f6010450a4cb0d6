"""How much of an image is read: whatever its maker can make longer has an end here."""

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

MAX_MANIFEST = 4 * MIB  # of a manifest, an index or a config; registries take no more of a manifest (distribution, `manifest.go`)
MAX_DEPTH = 4  # indexes in indexes
MAX_DESCRIPTORS = 1_000  # of one index
MAX_LAYERS = 512  # container runtimes take 127 to 500
MAX_PACKED = 32 * GIB  # bytes of one layer as it is kept
MAX_UNPACKED = 64 * GIB  # bytes of one layer, and of all of them
MAX_RATIO = 1_100  # bytes out of one: deflate makes at most 1,032; zstd is held to the same
RATIO_FROM = 64 * MIB  # bytes that a layer may have before its ratio counts
MAX_ENTRIES = 500_000  # of all layers
MAX_PATHS = 64 * MIB  # bytes of all their paths
MAX_FOLDERS = 64 * MIB  # bytes of the paths of the folders that they are in, each told once a layer
MAX_PATH = 4_096  # bytes of one path (Linux, PATH_MAX)
MAX_NAME = 255  # bytes between two slashes (Linux, NAME_MAX)
MAX_HEADERS = 1 * MIB  # bytes that stand before one entry's content
MAX_CONTENT = 1 * GIB  # bytes of a file that is asked for
