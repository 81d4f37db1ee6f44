"""The formulas of the public functions, as LaTeX."""

_P = r"p_i = \frac{e^{z_i}}{\sum_j e^{z_j}}"
_LOSS = r"L = -\log\, p_y = \log\, \sum_j e^{z_j} - z_y"

FORMULAS = {
    "softmax": r"p_i = \frac{e^{x_i / T}}{\sum_j e^{x_j / T}}",
    "log_softmax": r"\log\, p_i = x_i - \log\, \sum_j e^{x_j}",
    "logsumexp": r"\operatorname{lse}(x) = \log\, \sum_j e^{x_j}",
    "top_k_softmax": r"p_i = \frac{e^{x_i}}{\sum_j e^{x_j}}, \quad i \text{ among the } k \text{ largest}",
    "sigmoid": r"\sigma(x) = \frac{1}{1 + e^{-x}}",
    "cross_entropy": _LOSS + r", \qquad " + _P,
    "cross_entropy_with_grad": _LOSS
    + r", \qquad \frac{\partial L}{\partial z_i} = p_i - [i = y], \qquad "
    + _P,
    "binary_cross_entropy_with_logits": (
        r"L = -y \log\, \sigma(z) - (1 - y) \log (1 - \sigma(z)), \qquad \sigma(z) = \frac{1}{1 + e^{-z}}"
    ),
    "binary_cross_entropy_with_logits_with_grad": (
        r"\frac{\partial L}{\partial z} = \sigma(z) - y, \qquad \sigma(z) = \frac{1}{1 + e^{-z}}"
    ),
    "linear_cross_entropy": r"z = W x + b, \qquad L = \log\, \sum_j e^{z_j} - z_y",
    "linear_cross_entropy_with_grad": (
        r"z = W x + b, \quad g_i = p_i - [i = y], \quad "
        r"\frac{\partial L}{\partial x} = W^T g, \quad \frac{\partial L}{\partial W} = g x^T, \quad "
        r"\frac{\partial L}{\partial b} = g"
    ),
    "sampled_softmax_cross_entropy": (
        r"L = \log \left( e^{z_y} + \sum_{s \in S} e^{z_s - \log (m q_s)} \right) - z_y"
    ),
    "sampled_softmax_cross_entropy_with_grad": (
        r"L = \log \left( e^{z_y} + \sum_{s \in S} e^{z_s - \log (m q_s)} \right) - z_y"
    ),
    "entropy_with_logits": r"H = -\sum_i p_i \log\, p_i, \qquad " + _P,
    "entropy_with_logits_with_grad": (
        r"\frac{\partial H}{\partial z_i} = -p_i \, (\log\, p_i + H), \qquad H = -\sum_i p_i \log\, p_i"
    ),
    "kl_div_with_logits": r"\operatorname{KL}(P \parallel Q) = \sum_i p_i \log\, \frac{p_i}{q_i}",
    "kl_div_with_logits_with_grad": (
        r"\frac{\partial \operatorname{KL}}{\partial a_i} = "
        r"p_i \left( \log\, \frac{p_i}{q_i} - \operatorname{KL} \right), "
        r"\qquad \frac{\partial \operatorname{KL}}{\partial b_i} = q_i - p_i"
    ),
    "softmax_backward": r"\frac{\partial L}{\partial x_i} = p_i \left( g_i - \sum_j g_j p_j \right)",
    "log_softmax_backward": (
        r"\frac{\partial L}{\partial x_i} = g_i - e^{\ell_i} \sum_j g_j, \qquad \ell = \log\, p"
    ),
}
