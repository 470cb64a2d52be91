/* For .def files: the rows of a template that was compiled for a list of types, K(slot[type],
 * k_<type>_<what>_c). */
#ifndef OT_KERN_TYPE_ROWS_H
#define OT_KERN_TYPE_ROWS_H

#define K_FLOATS(slot, what)                                                                                 \
    K(slot[DT_FLOAT], k_f32_##what##_c, 0)                                                                   \
    K(slot[DT_DOUBLE], k_f64_##what##_c, 0)
#define K_UINTS(slot, what)                                                                                  \
    K(slot[DT_UINT8], k_u8_##what##_c, 0)                                                                    \
    K(slot[DT_UINT16], k_u16_##what##_c, 0)                                                                  \
    K(slot[DT_UINT32], k_u32_##what##_c, 0)                                                                  \
    K(slot[DT_UINT64], k_u64_##what##_c, 0)
#define K_SINTS(slot, what)                                                                                  \
    K(slot[DT_INT8], k_s8_##what##_c, 0)                                                                     \
    K(slot[DT_INT16], k_s16_##what##_c, 0)                                                                   \
    K(slot[DT_INT32], k_s32_##what##_c, 0)                                                                   \
    K(slot[DT_INT64], k_s64_##what##_c, 0)
#define K_INTS(slot, what) K_UINTS(slot, what) K_SINTS(slot, what)
#define K_NUMS(slot, what) K_FLOATS(slot, what) K_INTS(slot, what)

#endif
