"""Differences that no test or script of the peers shows."""

from __future__ import annotations

from tests.peers.differences.difference import Difference

DECISIONS: tuple[Difference, ...] = (
    Difference(
        "defect",
        "`MDC` of one source or one receiver and several virtual sources, or of a kernel with more frequencies than "
        "there are (they are cut off, with a warning), works; PyLops raises. So does `MDD` of data `(ns, 1, nt)`, and "
        "axes of one receiver or one virtual source stay in its results, where PyLops squeezes them. `MDC` is an "
        "operator, not a product of five.",
    ),
    Difference(
        "defect",
        "`Marchenko` with a travel time before `toff`: the window is empty here. PyLops reads the negative end as one "
        "counted from the last sample, and opens the window at late times.",
    ),
    Difference(
        "defect",
        "`SeismicInterpolation` at positions that are not whole (`iava` of floats) works, by linear interpolation, and "
        "so do lists; PyLops raises. An unknown `kind` is a `ValueError`, and `sampling`, which has no effect on the "
        "result, is not required for `kind='fk'`. The windows of `kind='sliding'` do not depend on the unit of space; "
        "PyLops rounds the ends of their axis down to whole numbers.",
    ),
    Difference(
        "decision",
        "Steps of axes that are not positive numbers are errors in the operators of `waveeqprocessing`, and so is `nt` "
        "of `Marchenko` that is not the number of samples of its `R` in time. PyLops ignores that `nt`.",
    ),
    Difference(
        "decision",
        "Results of `MDD`, `Marchenko` and `SeismicInterpolation` have the precision of the arrays: `dtype` of "
        "`Marchenko` rounds nothing.",
    ),
    Difference(
        "defect",
        "`cgls` with `damp` and `x0`: PyLops's first gradient has `damp` where `damp**2` belongs, so that its "
        "answer is off after any number of iterations. Ours minimises `||y - A x||**2 + damp**2 ||x||**2` (`lsqr` "
        "and `lsmr`, here as in PyLops and SciPy, damp `||x - x0||`).",
    ),
    Difference(
        "defect",
        "`r1norm` of `cgls` is `||A^H r||**2` in PyLops; ours is `||y - A x||`. That norm of the gradient is "
        "`arnorm` of our result.",
    ),
    Difference(
        "defect",
        "`lsqr` with `damp`: `r1norm` and `cost` are those of the iterate here; PyLops's lag one iteration behind "
        "in the part of the damping. With `x0`, `xnorm` is that of `x` here, and of `x - x0` in PyLops. `var` of "
        "complex operators is real here; PyLops sums squares that it does not conjugate.",
    ),
    Difference(
        "decision",
        "`istop` of `lsqr` is 7 where `niter` iterations were not enough, as in SciPy; PyLops gives 0. The reasons "
        "4 to 6 (machine precision) are 1 to 3 here. `atol` is relative to the norm of the operator, as in SciPy; "
        "in PyLops, to the first gradient.",
        topic="solvers",
    ),
    Difference(
        "defect",
        "`threshkind='half'` has the weight `eps` here and half of it in PyLops; with an `SOp` that is not "
        "orthonormal, PyLops solves another problem, ours that of the coefficients.",
    ),
    Difference(
        "decision",
        "`ista` and `fista` take several data in columns, `(M, K)`, from NumPy users, where that cannot be a batch "
        "`(K, M)`; with `K = M` it is a batch of rows: write `ista(A, Y.T).x.T`. Each column has a threshold of its"
        " own (of percentiles), a cost and an end, which PyLops shares between them.",
        topic="solvers",
    ),
    Difference(
        "decision",
        "`monitorres=True` raises in a single problem, as in PyLops. In a batch in which some samples still "
        "descend, the others stop with the status `BREAKDOWN` and a warning.",
        topic="solvers",
    ),
    Difference(
        "decision",
        "Default tolerances of the sparse solvers (`tol`, `tolIRLS`, `epsR`, `sigma`) are relative to the size of "
        "the problem; PyLops's are absolute, of the same numbers. An own number is absolute in both.",
        topic="solvers",
    ),
    Difference(
        "decision",
        "`irls` with `warm=True` and a large `epsI` damps `x` here; PyLops damps its change from the last "
        "iteration, so that the damping fades out.",
        topic="solvers",
    ),
    Difference(
        "decision",
        "`OMP.step`, `run` and `finalize` go from model to model here; PyLops's take and give lists of coefficients"
        " and of columns. `OMP.solve` and `omp` are the same.",
        topic="solvers",
    ),
    Difference(
        "decision",
        "`AcousticWave2D` needs no Devito. Its time axis, its sources and the scale of its data are Devito's; its "
        "layers are perfectly matched, where Devito's damp (their width is `nbl` in both); points between nodes are "
        "windowed sinc functions, where Devito interpolates linearly; its adjoint is exact to rounding. `geometry` and "
        "`model` have the names of Devito's that PyLops uses.",
    ),
    Difference(
        "decision",
        "Manual `FISTA.step(x, z)` goes on from the `z` that the last step returned, and raises for another one.",
        topic="solvers",
    ),
    Difference(
        "defect",
        "Inversions of real operators made of complex ones (`F.H @ G @ F` with real FFTs) answer with real models; "
        "PyLops's are complex with a zero imaginary part.",
    ),
    Difference(
        "defect",
        "`A.cond()` is the ratio of the largest to the smallest singular value; in PyLops it is one of eigenvalues,"
        " which is another number unless the operator is Hermitian and positive. Its `uselobpcg` and options for "
        "SciPy are ignored.",
    ),
    Difference(
        "decision",
        "`A.eigs()` without `neigs` gives all eigenvalues; PyLops gives two less for operators without a matrix. "
        "Those of a symmetric operator are real.",
        topic="solvers",
    ),
    Difference(
        "decision",
        "`A.trace()` is exact for every operator whose matrix is small enough to be formed; in PyLops it is an "
        "estimate (`method='hutch++'`) unless the operator holds its matrix.",
        topic="solvers",
    ),
    Difference(
        "defect",
        "`trace_hutchpp` and `trace_nahutchpp` of complex or unsymmetric operators: PyLops leaves out conjugates, "
        "and takes `A S` for `A^H S`.",
    ),
    Difference(
        "decision",
        "Attributes with the names of PyLops's and other values: `axis` and `axes` are counted from the end, "
        "since batch axes come first (write `A.axis % len(A.dims)` for PyLops's); `sampling` has a step for each "
        "axis; `FFT.norm` is the norm of the operator and `DCT.type` the method of `nn.Module` (see `repr(A)` for "
        "these options); `Convolve2D` and `ConvolveND` have `h`, `nh`, `offset` and `axes` as given, not padded "
        "to odd lengths and to all axes of the model, and `method` is None for `'auto'`; `scalings` of patches is "
        "None where all are 1; `taps` has the axes of windows, without those that are not divided (`A.taps[..., "
        "None]`); `Diagonal.diag` and the `slopes` of `Seislet` are as given, not with all axes of the model, nor "
        "padded; `Spread.table` is of integers, with -1 for NaN, and `dtable` is absent where there are no "
        "weights; `haxis` of parabolic `FourierRadon` operators are as given, not squared; `forceflat` of stacks "
        "of different parts is None; `pool` closes nothing.",
        topic="attributes",
    ),
    Difference(
        "decision",
        "Attributes that PyLops documents and that are not here: `convolve` and `correlate` of convolutions, "
        "`predict` of `Seislet`, and `kwargs_cuda` and `kwargs_fftw`, which are of its engines; options that have "
        "no effect (`inplace`, `nproc`, `inoutengine`, `parallel_kind`, `usematmul`, `workers`); and those of a "
        "matrix of `Interp(kind='sinc')`, which is no `MatrixMult`: write `A.todense()`.",
        topic="attributes",
    ),
    Difference(
        "decision",
        "Arrays that an operator may learn are tensors, also if NumPy arrays were given: `diag`, `h`, `hs`, "
        "`hsinterp`, `inp`, `G`, `slopes`, `sigma`, `taps`, `v`. Write `A.h.numpy()` (`.detach().numpy()` if it "
        "learns). An array, a list or a number may be assigned to them. Positions and axes are arrays if they "
        "were given so, and tensors otherwise. What determines the shape of the data, or tables that were "
        "computed, cannot be assigned (`Restriction.iava`, `InterpCubicSpline.iava`): build a new operator.",
        topic="attributes",
    ),
    Difference(
        "decision",
        "`A * matrix` and `A @ matrix` with a SciPy sparse matrix raise an error that says what to write: "
        "`A @ torchlops.MatrixMult(matrix)` for the composition, `A @ matrix.toarray()` for the product. PyLops "
        "multiplies its columns.",
        topic="own",
    ),
    Difference(
        "decision",
        "A subclass of a built-in operator that overrides `_matvec` and calls `super()._matvec` raises an error, "
        "since built-in operators have kernels on tensors, with gradients for what they learn. Override "
        "`_forward` (and `_adjoint`), or build on the operator: in `class Mine(LinearOperator)`, write "
        "`super().__init__(Op=torchlops.FirstDerivative(n))` and `self.Op._matvec(x)`.",
        topic="own",
    ),
    Difference(
        "decision",
        "Operators are modules, so the arrays that they are built from (masks, filters, matrices) are in the "
        "`state_dict` of a network that contains them, as buffers; checkpoints of a network with PyLops's "
        "operators do not contain them. Wrap the operator, `torchlops.exclude_from_state_dict(Op)`, to load and "
        "to write such checkpoints.",
        topic="attributes",
    ),
    Difference(
        "defect",
        "`NonStationaryConvolve3D.ehx` is the last of `ihx` here; in PyLops, the last of `ihy`, and `ehy` is missing.",
    ),
    Difference(
        "decision",
        "`A / Y` of an array `(M, K)` solves for its columns, as in PyLops, where its rows cannot be data, and "
        "raises for a square one, with the two ways to write it. Tensors, `A.div(Y)` and solvers take batches of "
        "rows.",
        topic="solvers",
    ),
    Difference(
        "decision",
        "A function, or a `_matvec`, that is labelled real (`dtype='float64'` is the default) is given the real "
        "and the imaginary part of complex data one after the other, since many functions take real arrays only; "
        "PyLops passes complex arrays on. Label one that is not linear over the complex numbers, such as "
        "`np.conj`, or that returns complex numbers, as complex: `dtype='complex128'`.",
        topic="own",
    ),
    Difference(
        "decision",
        "A class that defines `matvec`, `rmatvec`, `matmat` or `rmatmat` raises: products call `_matvec` and "
        "`_rmatvec`, or `_forward` and `_adjoint`. `_matmat` and `_rmatmat` are not called. Names of `nn.Module`, "
        "such as `parameters`, `modules` or `forward`, cannot be attributes of other things.",
        topic="own",
    ),
    Difference(
        "decision",
        "`A.dims = ...` and `A.dimsd = ...` reshape models and data of the same matrix; some of PyLops's "
        "operators work along other samples from then on. Other options of an operator, such as `A.axis` or "
        "`A.sampling`, cannot be set: build a new operator.",
        topic="attributes",
    ),
    Difference(
        "decision",
        "A change in place of an array that an operator was built from is seen if the array is of floating-point or "
        "complex numbers and its strides are positive, in all operators. (PyLops's copy some of these, and see "
        "changes of integers, reversed views, indices, or of the entries of SciPy matrices.) Assign the array again, "
        "`A.diag = d`, or build a new operator.",
        topic="attributes",
    ),
    Difference(
        "decision",
        "`matvec_count` and the other counters count the products that were computed, of which solvers need fewer or "
        "more here; several models at once are one `matmat`, and `A(x)` is not counted.",
        topic="attributes",
    ),
    Difference(
        "decision",
        "`forceflat=True` holds in all operators; PyLops's `Restriction`, `MatrixMult` with `otherdims` and `Sum` of "
        "three axes ignore it. `A.apply_columns(columns)` answers in the shape `dimsd`.",
    ),
    Difference(
        "decision",
        "The vectors and numbers of an iteration (`r`, `c`, `s`, `q`, `kold` of CG and CGLS, `u`, `v`, `w`, ... "
        "of LSQR) are no attributes of a solver; `x`, `y`, `cost`, `iiter`, `ynorm`, and the options, are.",
        topic="attributes",
    ),
    Difference(
        "decision",
        "The cost of split Bregman weighs `||R x||_1` with `epsRL1s` squared, since this is what iterations with the "
        "threshold and the coupling `epsRL1s` minimise. PyLops's cost has another weight; the models agree.",
        topic="solvers",
    ),
    Difference(
        "decision",
        "`jax.grad` does not go through `MatrixMult(jax_array)`: write `JaxOperator(MatrixMult(jax_array))`.",
        topic="own",
    ),
    Difference(
        "decision",
        "A product is never a view of its input; in PyLops, those of `Identity`, `Conj` and `Transpose` may be.",
    ),
    Difference(
        "decision",
        "Complex data pass through operators of a real `dtype`, part by part; in PyLops, some drop the imaginary "
        "part in the forward and raise in the adjoint.",
        topic="types",
    ),
    Difference(
        "defect",
        "Adjoints that fail the dot test in PyLops and pass it here: `Convolve1D` with a complex filter; `FFT2D` "
        "and `FFTND` with `norm='none'` and `engine='scipy'`; `MatrixMult` of a complex SciPy matrix in LIL "
        "format; `Spread` with `dtable`, `interp=None` and `engine='numba'`; `FirstDerivative` with `order=5` and "
        "`edge=True` of three samples.",
    ),
    Difference(
        "defect",
        "`Interp(kind='sinc')` of several axes interpolates along `axis`, by default the last one; PyLops along "
        "another.",
    ),
    Difference(
        "defect",
        "`Smoothing2D`, `Convolve2D` and `ConvolveND` work along `axes` in the order in which they are given; PyLops "
        "ignores a descending order.",
    ),
    Difference(
        "defect",
        "`Patch2D` and `Patch3D` use `scalings`, which PyLops's `Patch2D` ignores, and do not taper the ends of "
        "an axis that has one window, which PyLops tapers to zero.",
    ),
    Difference(
        "defect",
        "`A.todense()` is the matrix of `A`: in PyLops, it lacks imaginary parts for `FFT(real=True, "
        "dtype='float64')`, is transposed for `NonStationaryConvolve1D`, and of the wrong size for `Diagonal` of "
        "several axes. `A.shape` is right for long filters of several axes, too.",
    ),
    Difference(
        "defect",
        "`omp` with `niter_inner=0` and `normalizecols=True` descends; PyLops's residual grows. With "
        "`niter_inner`, its coefficients are those of the least-squares solution here, and of so few iterations "
        "in PyLops.",
    ),
    Difference(
        "defect",
        "`lsqr` of zero data, or from the exact solution, returns it; PyLops returns NaN. `cg` and `cgls` of NaN "
        "return NaN and a status; PyLops returns zeros. A run that a callback stops says so in `istop`.",
    ),
    Difference(
        "defect",
        "`zoeppritz_scattering`, `zoeppritz_element`, `zoeppritz_pp` and `approx_zoeppritz_pp` are NaN beyond the "
        "critical angle in PyLops; ours are complex there, with the phase of NumPy's FFT (`irfft(R * rfft(x))` is the "
        "reflected signal). Arrays give real coefficients where no wave is evanescent; tensors give complex ones: "
        "write `.real`. An unknown element is an error here, and an empty array there.",
    ),
    Difference(
        "defect",
        "`PoststackInversion` without `m0` and `epsR`, and `PrestackInversion` with `returnres=True`, overwrite the "
        "data of the user with the residual in PyLops; ours never change them.",
    ),
    Difference(
        "defect",
        "`PoststackInversion(explicit=True, simultaneous=True, epsI=...)` has the data in the place of `A^T d` in "
        "PyLops, and differs from the solution trace by trace; ours agrees with it. The damping is `epsI * ||m||**2` "
        "in both, where PyLops's documentation has the square; ours iterates on the damped least squares, and PyLops, "
        "for pre-stack data, on the normal equations.",
    ),
    Difference(
        "defect",
        "`PoststackInversion` and `PrestackInversion` ignore `epsI` with `explicit=False` in PyLops (without `epsR`; "
        "post-stack, also with it), `epsRL1` without `epsR`, and `kind` for a list of linearisations; ours heeds them. "
        "For post-stack data with `epsR`, write `epsI=None` for PyLops's numbers.",
    ),
    Difference(
        "defect",
        "`PrestackInversion(explicit=True, epsR=...)` has the Laplacian of wrong axes in PyLops, and one gather with "
        "`epsRL1` is differentiated across its parameters; `PoststackInversion` of one trace with `epsRL1` raises. "
        "Ours gives the solution of `explicit=False`, and differentiates along time.",
    ),
    Difference(
        "defect",
        "A function as `linearization` is taken with `explicit=True` only in PyLops, although it is documented; ours "
        "takes it everywhere, and `'PS'` as well as `'ps'`. A wavelet longer than the model gives data of its own "
        "length, or raises, in PyLops; ours gives data of `nt0` samples.",
    ),
    Difference(
        "defect",
        "The eikonal equation of `Kirchhoff` is solved from the position of a source or receiver; PyLops moves it "
        "to the nearest cell of the grid, and its times are biased by a third of a cell. A position outside of the "
        "grid raises here; in PyLops it is taken at the other end of the grid, if its index is negative.",
    ),
    Difference(
        "defect",
        "`Kirchhoff` with `dynamic=True`: `angleaperture=None` is no taper (PyLops tapers up to 1000 degrees); "
        "given travel times have angles in the units of the axes (in samples in PyLops); half of the angle between "
        "rays is at most 90 degrees, where PyLops's weight may be negative above sources; in 3-D it is that of "
        "their directions, so that both horizontal axes are alike. In 3-D, `aperture` has an effect.",
    ),
    Difference(
        "defect",
        "`aperture` and `angleaperture` of `Kirchhoff` have an effect without `dynamic=True`, too; PyLops ignores "
        "them. (The default `angleaperture=90` is no limit then: PyLops's default operator is the same.)",
    ),
    Difference(
        "decision",
        "A 3-D `Kirchhoff` has the model `(ny, nx, nz)`; PyLops's `dims` are `(ny * nx, nz)`. Complex models work "
        "here, and the time axis may begin at any time, which PyLops takes to be zero.",
    ),
    Difference(
        "defect",
        "`LSM` with `kind='twowayac'` propagates the wavelet that it is given, to the end of `t`. PyLops ignores "
        "the wavelet, and takes the number of samples of `t` as milliseconds.",
    ),
    Difference(
        "decision",
        "`LSM.solve` uses our `lsqr` where PyLops uses SciPy's, with its defaults and `iter_lim`; `show` prints "
        "our table.",
    ),
)
