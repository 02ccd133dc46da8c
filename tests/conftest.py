pytest_plugins = ["pytester", "tests.support.clusters"]
