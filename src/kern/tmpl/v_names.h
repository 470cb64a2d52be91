/* k_f32_<what>_<isa> from V_ISA and what. */
#ifndef OT_KERN_V_NAMES_H
#define OT_KERN_V_NAMES_H
#define VNAME_CAT(what, isa)  k_f32_##what##_##isa
#define VNAME_CAT2(what, isa) VNAME_CAT(what, isa)
#define VNAME(what)           VNAME_CAT2(what, V_ISA)
#endif
