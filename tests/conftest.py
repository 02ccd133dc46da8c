pytest_plugins = ["tests.support.clusters"]
