"""The storage of a roll-out against the dense reference, on random walks of parameters of every form."""

import copy
import pickle

import pytest
import torch

import pgrad
from pgrad._engine import buffers
from pgrad._engine.trajectory import Trajectory
from tests.pgrad import problems

FORMS = {
    "plain": lambda: torch.randn(7, 5),
    "0-dim": lambda: torch.randn(()),
    "empty": lambda: torch.randn(0, 3),
    "channels_last": lambda: torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "transposed": lambda: torch.randn(6, 4).T,
    "strided": lambda: torch.randn(6, 8)[:, ::2],
    "complex": lambda: torch.randn(3, 4, dtype=torch.complex64),
    "complex strided": lambda: torch.randn(3, 8, dtype=torch.complex64)[:, ::2],
    "float64": lambda: torch.randn(9, dtype=torch.float64),
    "bfloat16": lambda: torch.randn(33).bfloat16(),
    "float16": lambda: torch.randn(5, 7).half(),
    "many blocks": lambda: torch.randn(3, 1700),
}


def numbers(tensor):
    tensor = tensor.detach()
    return (torch.view_as_real(tensor) if tensor.is_complex() else tensor).double().reshape(-1)


def vector(tensors):
    return torch.cat([numbers(t) for t in tensors])


def walk(trajectory, params, steps, moving=None, size=1e-2):
    """Random steps; returns the points [steps+1, d] in float64. ``moving(i)`` are the parameters of step i."""
    moving = moving or (lambda step: params)
    points = []
    for step in range(steps):
        trajectory.begin_step(moving(step), step, steps)
        points.append(vector(params))
        with torch.no_grad():
            for p in moving(step):
                p += size * torch.randn_like(p)
        trajectory.end_step(step + 1, steps)
    return torch.stack([*points, vector(params)])


def finish(trajectory, params, points, k=4):
    """Gram matrix and principal gradient, as the optimizer gets them."""
    steps = len(points) - 1
    gram = trajectory.end(steps)
    record = pgrad.principal_weights(gram, k, rtol=(steps + 1) * trajectory.eps)
    gradients = trajectory.weighted_sum(record.weights)
    return gram, vector([gradients[p] for p in params if p in gradients])


def check(trajectory, params, points, tolerance):
    x = points - points[0]
    before = vector(params)
    gram, gradient = finish(trajectory, params, points)
    assert not torch.equal(before, points[0]) or len(points) == 1
    assert torch.equal(vector(params), points[0])  # by copy, bit for bit
    assert (gram - x @ x.T).norm() <= tolerance * (x @ x.T).norm()
    assert problems.relative(gradient, pgrad.reference.principal_gradient(points, 4)) < tolerance


TOLERANCE = {"bfloat16": 6e-3, "float16": 1e-3}  # of a gradient in the parameter's dtype


@pytest.mark.parametrize("form", [form for form in FORMS if form != "empty"])
def test_every_form_of_parameter(form):
    params = [FORMS[form]() for _ in range(2)]
    trajectory = Trajectory()
    for _ in range(2):  # the second roll-out uses the same storage
        check(trajectory, params, walk(trajectory, params, 5), TOLERANCE.get(form, 1e-5))


@pytest.mark.parametrize("dtype", [None, torch.float64, torch.float32, torch.bfloat16])
def test_all_forms_at_once(dtype):
    params = [make() for make in FORMS.values()]
    trajectory = Trajectory(dtype)
    points = walk(trajectory, params, 5)
    check(trajectory, params, points, 3e-3 if dtype is torch.bfloat16 else 1e-3)


def test_gradients_look_like_their_parameters():
    params = [make() for make in FORMS.values()]
    trajectory = Trajectory()
    points = walk(trajectory, params, 3)
    trajectory.end(3)
    for p, gradient in trajectory.weighted_sum(torch.linspace(-1, 1, len(points)).double()).items():
        assert (gradient.shape, gradient.dtype, gradient.device) == (p.shape, p.dtype, p.device)


def test_half_precision_takes_no_more_than_float32_rows():
    p = torch.randn(1000).bfloat16()
    trajectory = Trajectory()
    walk(trajectory, [p], 5)
    (buffer,) = trajectory._in_use
    assert sum(memory.untyped_storage().nbytes() for memory in buffer._memory) == 5 * 1008 * 4


@pytest.mark.parametrize(("dtype", "bits"), [(None, 4 * 5), (torch.bfloat16, 4 + 2 * 4), (torch.float64, 8 * 5)])
def test_nothing_beside_the_rows(dtype, bits):
    p = torch.randn(1 << 12)
    trajectory = Trajectory(dtype)
    points = walk(trajectory, [p], 5)
    gradient = trajectory.weighted_sum(pgrad.principal_weights(trajectory.end(5)).weights)[p]
    (buffer,) = trajectory._in_use
    storages = {memory.untyped_storage().data_ptr(): memory.untyped_storage().nbytes() for memory in buffer._memory}
    assert sum(storages.values()) == bits * p.numel()
    assert gradient.untyped_storage().data_ptr() in storages
    assert len(points) == 6


def test_parameters_that_join_late_or_never():
    params = [torch.randn(n) for n in (40, 3, 17, 600)]
    trajectory = Trajectory()
    for first in (1, 3):  # other parameters rest the second time, in storage that exists
        points = walk(
            trajectory, params, 5, lambda step, first=first: [params[0], params[first]] + params[2:3] * (step > 2)
        )
        x = points - points[0]
        rests = {1, 3} - {first}
        assert all(params[i] not in trajectory for i in rests)
        gram, _ = finish(trajectory, params, points)
        assert (gram - x @ x.T).norm() < 1e-6 * gram.norm()
        assert torch.equal(vector(params), points[0])


def test_room_for_longer_rollouts():
    params = [torch.randn(30)]
    trajectory = Trajectory()
    for steps in (3, 7, 2, 1):
        points = walk(trajectory, params, steps)
        check(trajectory, params, points, 1e-5)


def test_a_step_that_failed_is_recorded_once():
    """If an inner step raises, its position ends where the parameters are then, and comes again."""
    params, trajectory = [torch.randn(50)], Trajectory()
    torch.manual_seed(1)
    expected = copy.deepcopy(params)
    points = walk(Trajectory(), expected, 3)
    torch.manual_seed(1)
    for step in range(3):
        trajectory.begin_step(params, step, 5)
        trajectory.end_step(step, 5)
        trajectory.begin_step(params, step, 5)
        with torch.no_grad():
            params[0].add_(1e-2 * torch.randn_like(params[0]))
        trajectory.end_step(step + 1, 5)
    trajectory.begin_step(params, 3, 5)  # before a fourth step that never came
    check(trajectory, params, points, 1e-5)


def test_swap_and_restore_are_copies():
    params = [make() for make in FORMS.values()]
    trajectory = Trajectory()
    points = walk(trajectory, params, 4)
    trajectory.swap()
    assert torch.equal(vector(params), points[0])
    trajectory.swap()
    assert torch.equal(vector(params), points[-1])
    trajectory.restore()
    assert torch.equal(vector(params), points[0])


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("how", ["state", "pickle", "deepcopy"])
def test_going_on_from_a_copy(how, dtype):
    params = [make() for make in FORMS.values()]
    trajectory = Trajectory(dtype)
    for step in range(3):
        trajectory.begin_step(params, step, 5)
        for p in params:
            p += 1e-2 * torch.randn_like(p)
        trajectory.end_step(step + 1, 5)
    if how == "state":
        again = [p.clone() for p in params]
        other = Trajectory(dtype)
        states = {q: copy.deepcopy(trajectory.state_of(p, 3)) for p, q in zip(params, again, strict=True)}
        other.load(states, 5, 3)
    else:
        clone = copy.deepcopy if how == "deepcopy" else lambda value: pickle.loads(pickle.dumps(value))
        again, other = clone((params, trajectory))
    results = []
    for tensors, storage in ((params, trajectory), (again, other)):
        for step in (3, 4):
            storage.begin_step(tensors, step, 5)
            generator = torch.Generator().manual_seed(step)
            for p in tensors:
                p += 1e-2 * torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p.dtype)
            storage.end_step(step + 1, 5)
        gram = storage.end(5)
        results.append((gram, vector([storage.weighted_sum(torch.linspace(-1, 1, 6).double())[p] for p in tensors])))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_changed_in_the_middle():
    p = torch.randn(2, 3, 4, 4)
    trajectory = Trajectory()
    trajectory.begin_step([p], 0, 3)
    p.data = p.data.contiguous(memory_format=torch.channels_last)
    with pytest.raises(ValueError, match=r"changed in the middle of a roll-out.*strides"):
        trajectory.begin_step([p], 1, 3)


@pytest.mark.parametrize("points", ["all", "last"])
@pytest.mark.parametrize(
    ("write", "moved"),
    [
        (lambda p: None, {"all": False, "last": False}),
        (lambda p: p.add_(1), {"all": True, "last": True}),
        (lambda p: p.data.add_(1), {"all": True, "last": True}),
        (lambda p: p.detach()[0].zero_(), {"all": True, "last": True}),
        (lambda p: setattr(p, "data", p.data + 1), {"all": True, "last": True}),
        (lambda p: p.add_(1024).sub_(1024), {"all": False, "last": False}),  # the values are integers
        (lambda p: p.data.add_(1024).sub_(1024), {"all": False, "last": False}),
        (lambda p: setattr(p, "data", p.data.clone()), {"all": False, "last": False}),
        (lambda p: p.fill_(torch.nan), {"all": True, "last": True}),
    ],
)
def test_parameters_that_moved_meanwhile(points, write, moved):
    params = [torch.randint(9, (6, 7)).float(), torch.randint(9, (5,)).float()]
    trajectory = Trajectory(points=points)
    for step in range(2):
        trajectory.begin_step(params, step, 5)
        for p in params:
            p += torch.randint(1, 9, p.shape)
        trajectory.end_step(step + 1, 5)
    write(params[0])
    assert trajectory.moved(2) == moved[points]


def test_parameters_that_are_not_numbers_did_not_move():
    p = torch.randn(300)
    trajectory = Trajectory()
    trajectory.begin_step([p], 0, 3)
    p[7] = torch.nan
    trajectory.end_step(1, 3)
    assert not trajectory.moved(1)
    p[8] = torch.nan
    assert trajectory.moved(1)


def test_dropped_parameters_stay_where_they_are():
    params = [torch.randn(40), torch.randn(9), torch.randn(17)]
    trajectory = Trajectory()
    points = walk(trajectory, params, 4)
    there = params[1].clone()
    trajectory.drop_others({params[0], params[2]})
    rest = torch.cat([points[:, :40], points[:, 49:]], 1)
    check(trajectory, [params[0], params[2]], rest, 1e-5)
    assert torch.equal(params[1], there)


# ------------------------------------------------------------------------------------------------------------ numerics


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_neither_block_size_nor_threads_matter(monkeypatch, dtype):
    def result(area, piece, threads):
        monkeypatch.setitem(buffers._AREA, "cpu", area)
        monkeypatch.setitem(buffers._PIECE, "cpu", piece)
        torch.set_num_threads(threads)
        torch.manual_seed(5)
        params = [torch.randn(37, 911), torch.randn(12), torch.randn(4001)]
        trajectory = Trajectory(dtype)
        points = walk(trajectory, params, 14)
        return finish(trajectory, params, points)

    gram, gradient = result(1 << 21, 1 << 19, 1)
    for setting in [(1, 100, 1), (40_000, 5000, 2), (1 << 24, 1 << 24, 2)]:
        other_gram, other = result(*setting)
        assert (other_gram - gram).norm() <= 1e-6 * gram.norm()
        assert problems.relative(other, gradient) < 1e-6


def test_deterministic_on_request():
    torch.use_deterministic_algorithms(True)
    try:
        results = []
        for _ in range(2):
            torch.manual_seed(5)
            params = [torch.randn(30, 500), torch.randn(700).bfloat16()]
            trajectory = Trajectory()
            results.append(finish(trajectory, params, walk(trajectory, params, 9)))
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_many_equal_products_do_not_drown_small_ones():
    """A float32 sum of 2^25 ones stops at 2^24; blocks that go on in float64 do not."""
    p = torch.zeros(1 << 25)
    trajectory = Trajectory()
    trajectory.begin_step([p], 0, 1)
    p += 1
    assert trajectory.end(1)[1, 1] == 2.0**25


# ---------------------------------------------------------------------------------------------------------- less memory


def real_rollouts(rollouts, **options):
    """Principal gradients of an MLP on three domains, by an outer optimizer that keeps the model where it is."""
    found = []

    class Keep(torch.optim.SGD):
        def step(self, closure=None):
            found.append(vector([p.grad for group in self.param_groups for p in group["params"]]))

    net = problems.model()
    length = options.pop("rollout_length", 9)
    opt = pgrad.PGrad(net.parameters(), 1e-2, length, outer=Keep, **options)
    found.clear()  # what it saw on trial
    problems.train(net, opt, 0, rollouts * length)
    return torch.stack(found)


def cosines(a, b):
    return torch.nn.functional.cosine_similarity(a, b, dim=1)


def test_bfloat16_displacements_on_real_rollouts():
    exact = real_rollouts(6)
    assert len(exact) == 6
    assert cosines(real_rollouts(6, trajectory_dtype=torch.bfloat16), exact).min() > 0.9999


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_host_memory(dtype):
    """The copies run beside what changes the parameters; they must hold what was there before."""
    params = [torch.randn(1 << 22, device="cuda"), torch.randn(77, 13, device="cuda")]
    trajectory = Trajectory(dtype, torch.device("cpu"))
    for _ in range(3):
        points = walk(trajectory, params, 7).cpu()
        gram = trajectory.end(7)
        x = points - points[0]
        assert (gram - x @ x.T).norm() < (3e-3 if dtype else 1e-5) * gram.norm()
        assert torch.equal(vector(params).cpu(), points[0])
