"""Reads `swift package dump-package` and fails on a dependency that points upwards or across the columns."""
import json
import sys

# Target -> (layer, column). "both" may be used by either column; L5 and L6 may use either column.
LAYERS = {
    "CPostgres": (0, "job"), "CHiredis": (0, "job"), "CKernels": (0, "llm"), "JSON": (0, "both"),
    "ServerLinks": (0, "job"),
    "JobModel": (1, "job"), "JobMigrations": (1, "job"), "JobSettings": (1, "job"), "PostgresClient": (1, "job"),
    "RedisClient": (1, "job"), "LLMKernels": (1, "llm"), "LLMTokenizers": (1, "llm"), "LLMPrompts": (1, "llm"),
    "OpenAIFormat": (2, "job"), "JobStorage": (2, "job"), "LLMModels": (2, "llm"), "LLMConstraints": (2, "llm"),
    "JobPublishing": (3, "job"), "LLMInference": (3, "llm"),
    "JobWorker": (4, "job"),
    "JobHandlers": (5, "both"),
    "inference-worker": (6, "both"), "jobctl": (6, "both"), "jobbench": (6, "both"),
}

package = json.load(sys.stdin)
faults = []
for target in package["targets"]:
    name = target["name"]
    if target["type"] == "test" or (target.get("path") or "").startswith("Tests/"):
        continue
    if name not in LAYERS:
        faults.append(f"{name}: not in scripts/layers.py")
        continue
    layer, column = LAYERS[name]
    for dependency in target["dependencies"]:
        below = (dependency.get("byName") or dependency.get("target") or [None])[0]
        if below is None or below not in LAYERS:
            continue  # a product of another package
        lower, other = LAYERS[below]
        if lower >= layer:
            faults.append(f"{name} (L{layer}) depends on {below} (L{lower}): not downwards")
        if "both" not in (column, other) and column != other:
            faults.append(f"{name} ({column} side) depends on {below} ({other} side)")
if faults:
    sys.exit("lint: layers\n  " + "\n  ".join(faults))
