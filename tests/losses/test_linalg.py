import torch

from impasto.losses.linalg import symmetric_powers


def positive(seed: int, *shape: int) -> torch.Tensor:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x @ x.mT


def test_a_root_times_itself_is_the_matrix_and_times_its_inverse_the_identity():
    matrix = positive(0, 3, 5, 5)
    root, inverse = symmetric_powers(matrix, 0.5, -0.5)
    torch.testing.assert_close(root @ root, matrix)
    torch.testing.assert_close(root @ inverse, torch.eye(5, dtype=torch.float64).expand(3, 5, 5))


def test_powers_of_a_single_matrix_are_those_of_a_batch():
    matrix = positive(1, 4, 4)
    torch.testing.assert_close(symmetric_powers(matrix, -0.5)[0], symmetric_powers(matrix[None], -0.5)[0][0])


def test_eigenvalues_count_as_at_least_the_floor_and_as_their_share_of_the_largest():
    matrix = torch.diag(torch.tensor([0.0, 1e-9, 4.0], dtype=torch.float64))
    (inverse,) = symmetric_powers(matrix, -1, least=1e-4)
    torch.testing.assert_close(inverse.diagonal(), torch.tensor([1e4, 1e4, 0.25], dtype=torch.float64))
    (inverse,) = symmetric_powers(matrix, -1, relative=0.5)
    torch.testing.assert_close(inverse.diagonal(), torch.tensor([0.5, 0.5, 0.25], dtype=torch.float64))
