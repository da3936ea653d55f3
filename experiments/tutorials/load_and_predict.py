"""Use a finished run: load it and predict.

python experiments/tutorials/load_and_predict.py
"""

import tempfile

import jaxcl
from jaxcl.scenarios.datasets.builtin import digits

with tempfile.TemporaryDirectory() as folder:
    jaxcl.fit("split-digits", "er", setting="class", iterations=200, out=folder)

    result = jaxcl.load(folder)
    images = digits().test_inputs
    print(result.predict(images)[:10], digits().test_labels[:10])
