import os

os.environ.setdefault("GROVE_DYNAMO", "off")  # whether Dynamo is installed here must not change what other tests see

pytest_plugins = ["pytester", "tests.support.clusters"]
