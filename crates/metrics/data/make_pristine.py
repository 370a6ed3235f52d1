"""Writes niqe_pristine.bin from the parameters that come with BasicSR (niqe_pris_params.npz, Apache-2.0).

  python3 make_pristine.py niqe_pris_params.npz
"""
import pathlib
import sys

import numpy as np

parameters = np.load(sys.argv[1])
mean = parameters["mu_pris_param"].reshape(36)
covariance = parameters["cov_pris_param"]
assert np.array_equal(covariance, covariance.T)
lower = covariance[np.tril_indices(36)]
target = pathlib.Path(__file__).with_name("niqe_pristine.bin")
target.write_bytes(np.concatenate([mean, lower]).astype("<f8").tobytes())
