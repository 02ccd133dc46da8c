"""DynamoGraphDeployment to PodCliqueSet, pure."""
