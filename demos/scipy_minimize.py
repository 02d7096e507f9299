"""Let SciPy's optimizer train softmax regression: `value_and_grad` is the function that it asks for.

    python demos/scipy_minimize.py

L-BFGS looks at all 5,000 digits in every step and chooses its own step size. One sees the loss fall within
some dozens of steps to what gradient descent with a fixed rate needs as many epochs for.
"""

import argparse
import time

import numpy as np
from scipy.optimize import minimize

import tinygrad_edu as tg
from tinygrad_edu import data, nn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--iterations", type=int, default=60, help="L-BFGS steps (default 60)")
    parser.add_argument(
        "--penalty", type=float, default=1e-3, help="weight of the squared weights (default 0.001)"
    )
    options = parser.parse_args()
    x_train, y_train, x_test, y_test = (array.astype(float) for array in data.process_data())

    def loss(theta):
        theta = theta.reshape(785, 10)
        logits = x_train @ theta[:784] + theta[784]
        return nn.losses.softmax_cross_entropy(logits, y_train) + options.penalty * np.sum(theta[:784] ** 2)

    losses = []
    start = time.perf_counter()
    found = minimize(
        tg.value_and_grad(loss),
        np.zeros(7850),
        jac=True,
        method="L-BFGS-B",
        callback=lambda intermediate_result: losses.append(intermediate_result.fun),
        options={"maxiter": options.iterations},
    )
    seconds = time.perf_counter() - start

    theta = found.x.reshape(785, 10)
    predicted = np.argmax(x_test @ theta[:784] + theta[784], axis=1)
    accuracy = np.mean(predicted == np.argmax(y_test, axis=1))
    for step in (1, 2, 5, 10, 20, len(losses)):
        if step <= len(losses):
            print(f"after {step:3} steps: loss {losses[step - 1]:.4f}")
    print(f"test accuracy {accuracy:.1%} after {found.nit} steps, {found.nfev} gradients, {seconds:.1f} s")


if __name__ == "__main__":
    main()
