# A network under training: parameters and the optimiser's state in the layout of training/job.h, and the memory of a
# batch. Nothing of it can be reached from Python but by copies.

cdef enum:
    SMALL_BLOCK = 16
    AHEAD_BYTES = 1 << 18      # the most that a batch for which the next one is kept beside it takes

# A vector, a matrix or its transpose as the kernels see it: rows by columns with steps in numbers. Its tiles are
# columns, two vectors of them to a tile: (n_tiles, rows, tile), and what is beyond the last column is 0.
cdef struct matrix_view:
    char *data
    bint is_double
    ptrdiff_t rows, columns, down, along


cdef matrix_view view_of(cnp.ndarray array, bint turned):
    cdef matrix_view m
    cdef ptrdiff_t size = cnp.PyArray_ITEMSIZE(array), last = cnp.PyArray_NDIM(array) - 1
    m.data, m.is_double = <char *>cnp.PyArray_DATA(array), size == 8
    m.rows, m.down = 1, 0
    if last:
        m.rows, m.down = cnp.PyArray_DIM(array, 0), cnp.PyArray_STRIDE(array, 0) // size
    m.columns, m.along = cnp.PyArray_DIM(array, last), cnp.PyArray_STRIDE(array, last) // size
    if turned:
        m.rows, m.columns, m.down, m.along = m.columns, m.rows, m.along, m.down
    return m


cdef object tiles_for(matrix_view m, dtype):
    """Return tiles of zeros for a matrix."""
    cdef ptrdiff_t tile = 2 * lane_count(m.is_double)
    return aligned_zeros(((m.columns + tile - 1) // tile, m.rows, tile), dtype)


cdef int fill_tiles(matrix_view m, cnp.ndarray tiles) except -1:
    """Write a matrix into tiles of its size."""
    cdef ptrdiff_t tile = cnp.PyArray_DIM(tiles, 2), first, n
    cdef void *to = data_of(tiles)
    for first in range(0, m.columns, tile):
        n = min(tile, m.columns - first)
        if m.is_double:
            pack_f64(<double *>m.data + first * m.along, m.rows, n, m.down, m.along, <double *>to + first * m.rows,
                     tile)
        else:
            pack_f32(<float *>m.data + first * m.along, m.rows, n, m.down, m.along, <float *>to + first * m.rows, tile)
    return 0


cdef int read_tiles(matrix_view m, cnp.ndarray tiles) except -1:
    """Write the columns in tiles into a matrix of their size."""
    cdef ptrdiff_t tile = cnp.PyArray_DIM(tiles, 2), first, n
    cdef void *start = data_of(tiles)
    for first in range(0, m.columns, tile):
        n = min(tile, m.columns - first)
        if m.is_double:
            unpack_f64(<double *>start + first * m.rows, m.rows, n, tile, <double *>m.data + first * m.along, m.down,
                       m.along)
        else:
            unpack_f32(<float *>start + first * m.rows, m.rows, n, tile, <float *>m.data + first * m.along, m.down,
                       m.along)
    return 0


def aligned_zeros(shape, dtype):
    """Return an array of zeros on a boundary of 64 bytes."""
    cdef ptrdiff_t size = 1
    for n in shape:
        size *= n
    array = aligned_empty((size,), dtype)[:size].reshape(shape)
    array[...] = 0
    return array


cdef ptrdiff_t rows_a_block(ptrdiff_t batch_size, ptrdiff_t lanes) noexcept:
    """Return how many rows of a batch go through the layers together; it must not depend on the number of threads."""
    cdef ptrdiff_t rows = SMALL_BLOCK
    while rows < MAX_BLOCK_ROWS and 4 * rows < batch_size:
        rows *= 2
    return max(rows, lanes)


cdef class Trainer:
    """A network of ReLU layers, or without hidden ones a linear model, that trains by batches.

    `parameters`, `first` and `second` are lists of the weights (n_in, n_out) of each layer, then the biases (n_out,) of
    each: the parameters, and the optimiser's two moments. All have one dtype, float32 or float64. They are copied.
    `rule` has the options of `_optimizers.Rule`; `multi` means one sigmoid a column instead of a softmax.
    """

    cdef training_job job
    cdef training_layer layers[MAX_LAYERS]
    cdef int kind, n_threads
    cdef bint multi
    cdef ptrdiff_t n_features, n_layers
    cdef list state       # of the parameters and of each moment: (weights, biases) of each layer, in tiles
    cdef list memory      # of a batch
    cdef list sizes
    cdef object in_use    # a lock: one thread at a time

    def __cinit__(self, list parameters, list first, list second, rule, double label_smoothing, bint multi,
                  ptrdiff_t batch_size, int n_threads):
        self.in_use = threading.Lock()
        self.multi = multi
        self.n_layers = len(parameters) // 2
        require_between(self.n_layers, "the number of layers", 1, MAX_LAYERS)
        require_between(len(parameters), "the number of parameters", 2 * self.n_layers, 2 * self.n_layers)
        require_between(batch_size, "batch_size", 1, 1 << 40)
        require_between(n_threads, "n_threads", 1, MOST_THREADS)
        self.n_threads = n_threads
        self.kind = real_kind(array_in(parameters, 0, "parameters"), "parameters")
        self.read_sizes(parameters)
        self.state = [self.pack(arrays, name) for arrays, name in
                      ((parameters, "parameters"), (first, "first moments"), (second, "second moments"))]
        self.set_rule(rule, label_smoothing)
        self.point_at_state()
        self.make_memory(batch_size)

    def go_on(self, list parameters, rule, double label_smoothing, bint multi, ptrdiff_t batch_size, int n_threads):
        """Train from these parameters on, with the moments as they are: what a new Trainer with them would do."""
        require_between(batch_size, "batch_size", 1, 1 << 40)
        require_between(n_threads, "n_threads", 1, MOST_THREADS)
        parameters = list(parameters)       # another thread may change the caller's
        with self.in_use:
            self.require_arrays(parameters, "parameters")
            self.fill(self.state[0], parameters)
            self.multi = multi
            self.set_rule(rule, label_smoothing)
            if batch_size != self.job.batch_size or n_threads != self.n_threads:
                self.n_threads = n_threads
                self.make_memory(batch_size)

    cdef object zeros(self, tuple shape):
        """Return zeros that live as long as the memory of a batch."""
        array = aligned_zeros(shape, cnp.PyArray_DescrFromType(self.kind))
        self.memory.append(array)
        return array

    cdef int read_sizes(self, list parameters) except -1:
        """Read the numbers of features, of units and of outputs; `pack` holds all arrays against them."""
        cdef cnp.ndarray matrix
        self.sizes = []
        for i in range(self.n_layers):
            matrix = array_in(parameters, i, "parameters")
            require_memory(matrix, "parameters", self.kind, 2, False)
            if i == 0:
                self.sizes.append(matrix.shape[0])
            self.sizes.append(matrix.shape[1])
        for size in self.sizes:
            require_between(size, "the size of a layer", 1, 1 << 40)
        self.n_features = self.sizes[0]
        return 0

    cdef list pack(self, list arrays, str name):
        """Return the arrays in the layout of the kernels, for each layer (weights, biases) in tiles."""
        cdef list packed = []
        self.require_arrays(arrays, name)
        for i in range(self.n_layers):
            packed.append((tiles_for(self.weights_of(arrays, i), arrays[i].dtype),
                           tiles_for(view_of(arrays[self.n_layers + i], False), arrays[i].dtype)))
        self.fill(packed, arrays)
        return packed

    cdef matrix_view weights_of(self, list arrays, ptrdiff_t layer):
        """Return the weights of a layer, transposed those of the last one."""
        return view_of(arrays[layer], layer + 1 == self.n_layers)

    cdef int fill(self, list packed, list arrays) except -1:
        for i in range(self.n_layers):
            weights, biases = packed[i]
            fill_tiles(self.weights_of(arrays, i), weights)
            fill_tiles(view_of(arrays[self.n_layers + i], False), biases)
        return 0

    cdef int require_arrays(self, list arrays, str name) except -1:
        """Raise unless there are the weights and the biases of every layer, in the sizes of this network."""
        cdef cnp.ndarray matrix, biases
        cdef ptrdiff_t n_in, n_out, i
        require_between(len(arrays), f"the number of {name}", 2 * self.n_layers, 2 * self.n_layers)
        for i in range(self.n_layers):
            n_in, n_out = self.sizes[i], self.sizes[i + 1]
            matrix, biases = array_in(arrays, i, name), array_in(arrays, self.n_layers + i, name)
            require_memory(matrix, name, self.kind, 2, False)
            require_memory(biases, name, self.kind, 1, False)
            if matrix.shape[0] != n_in or matrix.shape[1] != n_out or biases.shape[0] != n_out:
                raise ValueError(f"{name} of layer {i} must have shapes {(n_in, n_out)} and {(n_out,)}, "
                                 f"got {shape_text(matrix)} and {shape_text(biases)}")
        return 0

    cdef list unpack(self, list packed):
        cdef list arrays
        dtype = cnp.PyArray_DescrFromType(self.kind)
        arrays = [_runtime.empty((self.sizes[i], self.sizes[i + 1]), dtype) for i in range(self.n_layers)]
        arrays += [_runtime.empty((self.sizes[i + 1],), dtype) for i in range(self.n_layers)]
        for i in range(self.n_layers):
            weights, biases = packed[i]
            read_tiles(self.weights_of(arrays, i), weights)
            read_tiles(view_of(arrays[self.n_layers + i], False), biases)
        return arrays

    cdef int set_rule(self, rule, double label_smoothing) except -1:
        self.job.solver = SOLVER_SGD if rule.solver == "sgd" else SOLVER_ADAM
        self.job.beta_1, self.job.beta_2, self.job.epsilon = rule.beta_1, rule.beta_2, rule.epsilon
        self.job.momentum, self.job.decay, self.job.fit_intercept = rule.momentum, rule.decay, rule.fit_intercept
        self.job.smoothing = label_smoothing
        self.job.loss = LOSS_LOGISTIC if self.multi else LOSS_SOFTMAX
        return 0

    cdef int point_at_state(self) except -1:
        cdef training_layer *layer
        cdef ptrdiff_t i
        for i in range(self.n_layers):
            layer = &self.layers[i]
            (w, b), (m, mb), (v, vb) = [packed[i] for packed in self.state]
            layer.n_tiles, layer.n_in = cnp.PyArray_DIM(w, 0), cnp.PyArray_DIM(w, 1)
            layer.w, layer.m, layer.v = data_of(w), data_of(m), data_of(v)
            layer.b, layer.mb, layer.vb = data_of(b), data_of(mb), data_of(vb)
        self.job.layers, self.job.n_hidden = self.layers, self.n_layers - 1
        self.job.n_outputs = self.sizes[self.n_layers]
        return 0

    cdef int make_memory(self, ptrdiff_t batch_size) except -1:
        """Make the memory of a batch; a call of `train` needs no other."""
        cdef training_job *job = &self.job
        cdef ptrdiff_t real = 8 if self.kind == cnp.NPY_FLOAT64 else 4
        cdef ptrdiff_t lanes = VECTOR_BYTES // real, tile = 2 * lanes, size, i, before
        cdef training_layer *layer
        cdef ptrdiff_t panels = (self.n_features + tile - 1) // tile
        self.memory, job.batch_size = [], 0     # no batch has memory until all of it is there
        job.block_rows = rows_a_block(batch_size, lanes)
        job.n_blocks = (batch_size + job.block_rows - 1) // job.block_rows
        job.copies = 2 if job.n_hidden and batch_size * self.n_features * real <= AHEAD_BYTES else 1
        job.x = data_of(self.zeros((job.copies * job.n_blocks, panels, job.block_rows, tile)))
        job.z = data_of(self.zeros((job.n_blocks, job.n_outputs, job.block_rows)))
        for i in range(job.n_hidden):
            layer = &self.layers[i]
            size = job.n_blocks * (1 if i else job.copies)
            layer.out = data_of(self.zeros((size, layer.n_tiles, job.block_rows, tile)))
            layer.back = data_of(self.zeros((job.n_blocks, layer.n_tiles, job.block_rows, tile)))
            if i:
                before = self.layers[i - 1].n_tiles
                layer.transposed = data_of(self.zeros((before, layer.n_tiles * tile, tile)))
        size = max(4 * MAX_BLOCK_ROWS + 20 * MAX_BLOCK_ROWS // real, PANEL_GROUP * TILE_GROUP * tile * tile,
                   job.n_outputs * tile)
        size = (size + 64 // real - 1) // (64 // real) * (64 // real)
        job.scratch, job.scratch_size = data_of(self.zeros((self.n_threads, size))), size
        tallies = np.zeros((job.n_blocks, 3))
        self.memory.append(tallies)
        job.tallies, job.batch_size = <loss_tally *>data_of(tallies), batch_size
        return 0

    def parameters(self):
        """Return copies of the parameters, as the class takes them."""
        with self.in_use:
            return self.unpack(self.state[0])

    def moments(self):
        """Return copies of the optimiser's two moments, as the class takes them."""
        with self.in_use:
            return self.unpack(self.state[1]), self.unpack(self.state[2])

    def train(self, cnp.ndarray X, double input_scale, cnp.ndarray targets, cnp.ndarray weights, cnp.ndarray order,
              double learning_rate, int64_t step):
        """Train on the rows `order` of X, batch after batch; return (loss sum, weight sum, correct weight).

        X (n_rows, n_features) is uint8, float32 or float64 with contiguous rows; targets int32 classes, or uint8 labels
        (n_rows, n_outputs) where `multi`; `weights` None or float64; `order` int64; `step` how many steps came before.
        """
        with self.in_use:
            return self.train_alone(X, input_scale, targets, weights, order, learning_rate, step)

    cdef tuple train_alone(self, cnp.ndarray X, double input_scale, cnp.ndarray targets, cnp.ndarray weights,
                           cnp.ndarray order, double learning_rate, int64_t step):
        cdef training_job job
        cdef workers w
        if self.job.batch_size == 0:
            raise MemoryError("cannot allocate the memory of a batch")
        describe(&self.job.data, X, input_scale)
        require_between(X.shape[1], "the number of features", self.n_features, self.n_features)
        require_targets(targets, X.shape[0], self.job.n_outputs, self.multi)
        set_targets(&self.job.targets, &self.job.labels, targets, self.multi)
        if weights is not None:
            require_vector(weights, "weights", cnp.NPY_FLOAT64, X.shape[0], False)
        self.job.weights = <const double *>data_of(weights)
        if order is None:
            raise TypeError("order must be an array, got None")
        self.job.n_rows = order.shape[0] if order.ndim == 1 else 0
        require_vector(order, "order", cnp.NPY_INT64, self.job.n_rows, False)
        self.job.order = <const int64_t *>data_of(order)
        require_order(self.job.order, self.job.n_rows, X.shape[0], self.job.targets, self.job.n_outputs)
        self.job.learning_rate, self.job.step = learning_rate, step
        job = self.job
        with nogil:
            acquire_threads(&w, self.n_threads)
            if self.kind == cnp.NPY_FLOAT64:
                train_f64(&job, &w)
            else:
                train_f32(&job, &w)
            release_threads(&w)
        return job.tally.loss, job.tally.weight, job.tally.correct
