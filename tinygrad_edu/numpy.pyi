# What type checkers read in place of numpy.py: NumPy, but a call that is given a Tensor returns one.
# Everything that is not named here is as in NumPy's own stubs.

from collections.abc import Sequence
from typing import Any, Protocol, overload

from numpy.typing import NDArray

from .tensor import Tensor

class _Unary(Protocol):
    @overload
    def __call__(self, x: Tensor, /, **options: Any) -> Tensor: ...
    @overload
    def __call__(self, x: NDArray[Any], /, **options: Any) -> NDArray[Any]: ...
    @overload
    def __call__(self, x: Any, /, **options: Any) -> Any: ...
    def __getattr__(self, name: str) -> Any: ...  # what all ufuncs have, such as reduce

class _Binary(Protocol):
    @overload
    def __call__(self, x: Tensor, y: Any, /, **options: Any) -> Tensor: ...
    @overload
    def __call__(self, x: Any, y: Tensor, /, **options: Any) -> Tensor: ...
    @overload
    def __call__(self, x: NDArray[Any], y: Any, /, **options: Any) -> NDArray[Any]: ...
    @overload
    def __call__(self, x: Any, y: Any, /, **options: Any) -> Any: ...
    def __getattr__(self, name: str) -> Any: ...

class _Function(Protocol):
    @overload
    def __call__(self, a: Tensor | Sequence[Tensor], /, *args: Any, **options: Any) -> Tensor: ...
    @overload
    def __call__(self, a: Any, b: Tensor, /, *args: Any, **options: Any) -> Tensor: ...
    @overload
    def __call__(self, a: Any, b: Any, c: Tensor, /, *args: Any, **options: Any) -> Tensor: ...
    @overload
    def __call__(self, *args: Any, **options: Any) -> Any: ...

class _Several(Protocol):  # results: a list or tuple of them
    @overload
    def __call__(self, a: Tensor, /, *args: Any, **options: Any) -> Sequence[Tensor]: ...
    @overload
    def __call__(self, *args: Any, **options: Any) -> Any: ...

# Elementwise

abs: _Unary
absolute: _Unary
fabs: _Unary
sign: _Unary
negative: _Unary
positive: _Unary
square: _Unary
sqrt: _Unary
cbrt: _Unary
reciprocal: _Unary
exp: _Unary
exp2: _Unary
expm1: _Unary
log: _Unary
log2: _Unary
log10: _Unary
log1p: _Unary
sin: _Unary
cos: _Unary
tan: _Unary
sinh: _Unary
cosh: _Unary
tanh: _Unary
arcsin: _Unary
arccos: _Unary
arctan: _Unary
arcsinh: _Unary
arccosh: _Unary
arctanh: _Unary
asin: _Unary
acos: _Unary
atan: _Unary
asinh: _Unary
acosh: _Unary
atanh: _Unary
deg2rad: _Unary
rad2deg: _Unary
radians: _Unary
degrees: _Unary
conj: _Unary
conjugate: _Unary
spacing: _Unary
floor: _Unary
ceil: _Unary
rint: _Unary
trunc: _Unary
isfinite: _Unary
isinf: _Unary
isnan: _Unary
signbit: _Unary
logical_not: _Unary
invert: _Unary
bitwise_not: _Unary
bitwise_invert: _Unary
bitwise_count: _Unary

add: _Binary
subtract: _Binary
multiply: _Binary
divide: _Binary
true_divide: _Binary
floor_divide: _Binary
remainder: _Binary
mod: _Binary
fmod: _Binary
power: _Binary
pow: _Binary
float_power: _Binary
logaddexp: _Binary
logaddexp2: _Binary
hypot: _Binary
arctan2: _Binary
atan2: _Binary
maximum: _Binary
minimum: _Binary
fmax: _Binary
fmin: _Binary
copysign: _Binary
nextafter: _Binary
ldexp: _Binary
heaviside: _Binary
gcd: _Binary
lcm: _Binary
matmul: _Binary
vecdot: _Binary
matvec: _Binary
vecmat: _Binary
equal: _Binary
not_equal: _Binary
less: _Binary
less_equal: _Binary
greater: _Binary
greater_equal: _Binary
logical_and: _Binary
logical_or: _Binary
logical_xor: _Binary
bitwise_and: _Binary
bitwise_or: _Binary
bitwise_xor: _Binary
left_shift: _Binary
right_shift: _Binary
bitwise_left_shift: _Binary
bitwise_right_shift: _Binary

modf: _Several
frexp: _Several
divmod: _Several

sinc: _Function
i0: _Function
round: _Function
around: _Function
fix: _Function
clip: _Function
nan_to_num: _Function
real: _Function
imag: _Function
real_if_close: _Function
angle: _Function
unwrap: _Function
where: _Function
select: _Function
choose: _Function
piecewise: _Function
interp: _Function
isclose: _Function
isneginf: _Function
isposinf: _Function
isreal: _Function
iscomplex: _Function

# Reductions and statistics

sum: _Function
prod: _Function
max: _Function
min: _Function
amax: _Function
amin: _Function
mean: _Function
var: _Function
std: _Function
ptp: _Function
median: _Function
quantile: _Function
percentile: _Function
average: Any  # a pair, with returned=True
cov: _Function
corrcoef: _Function
any: _Function
all: _Function
argmax: _Function
argmin: _Function
count_nonzero: _Function
nansum: _Function
nanprod: _Function
nanmax: _Function
nanmin: _Function
nanmean: _Function
nanvar: _Function
nanstd: _Function
nanargmax: _Function
nanargmin: _Function
nanmedian: _Function
nanquantile: _Function
nanpercentile: _Function
cumsum: _Function
cumprod: _Function
cumulative_sum: _Function
cumulative_prod: _Function
nancumsum: _Function
nancumprod: _Function
diff: _Function
ediff1d: _Function
trapezoid: _Function
sort: _Function
argsort: _Function
partition: _Function
argpartition: _Function
searchsorted: _Function
digitize: _Function
bincount: _Function
isin: _Function
lexsort: _Function

# Products

dot: _Function
inner: _Function
outer: _Function
vdot: _Function
tensordot: _Function
einsum: _Function
kron: _Function
cross: _Function
trace: _Function
convolve: _Function
correlate: _Function

# Shapes and elements

reshape: _Function
ravel: _Function
squeeze: _Function
expand_dims: _Function
transpose: _Function
permute_dims: _Function
matrix_transpose: _Function
swapaxes: _Function
moveaxis: _Function
rollaxis: _Function
flip: _Function
flipud: _Function
fliplr: _Function
roll: _Function
rot90: _Function
broadcast_to: _Function
resize: _Function
pad: _Function
tile: _Function
repeat: _Function
append: _Function
insert: _Function
delete: _Function
copy: _Function
astype: _Function
zeros_like: _Function
ones_like: _Function
empty_like: _Function
full_like: _Function
full: Any  # a Tensor with like=
concatenate: _Function
concat: _Function
stack: _Function
vstack: _Function
hstack: _Function
dstack: _Function
column_stack: _Function
block: _Function
take: _Function
take_along_axis: _Function
compress: _Function
extract: _Function
diag: _Function
diagflat: _Function
diagonal: _Function
tril: _Function
triu: _Function
trim_zeros: _Function
unique_values: _Function
flatnonzero: _Function
argwhere: _Function
ravel_multi_index: _Function
apply_along_axis: _Function
apply_over_axes: _Function
split: _Several
array_split: _Several
vsplit: _Several
hsplit: _Several
dsplit: _Several
unstack: _Several
meshgrid: _Several
broadcast_arrays: _Several
nonzero: _Several
# one or several, which depends on the arguments
unique: Any
gradient: Any
atleast_1d: Any
atleast_2d: Any
atleast_3d: Any
unravel_index: Any
ix_: Any

# Grids and polynomials

linspace: _Function
logspace: _Function
geomspace: _Function
vander: _Function
poly: _Function
polyval: _Function
polyadd: _Function
polysub: _Function
polymul: _Function
polyder: _Function
polyint: _Function
polydiv: _Several
polyfit: Any

# Rooms

class _Linalg:
    inv: _Function
    pinv: _Function
    det: _Function
    solve: _Function
    cholesky: _Function
    eigvalsh: _Function
    svdvals: _Function
    norm: _Function
    vector_norm: _Function
    matrix_norm: _Function
    cond: _Function
    cross: _Function
    diagonal: _Function
    matmul: _Function
    matrix_power: _Function
    matrix_transpose: _Function
    matrix_rank: _Function
    multi_dot: _Function
    outer: _Function
    tensordot: _Function
    tensorinv: _Function
    tensorsolve: _Function
    trace: _Function
    vecdot: _Function
    def __getattr__(self, name: str) -> Any: ...

class _FFT:
    fftshift: _Function
    ifftshift: _Function
    def __getattr__(self, name: str) -> Any: ...

linalg: _Linalg
fft: _FFT
testing: Any  # its checks take Tensors

# Everything else, last: of two types for a name, mypy takes the first
from numpy import *  # type: ignore[assignment]  # noqa: E402, F403
