"""The boosting model of screening histories: the history model's rival, and the worked example of a model that is brought."""
