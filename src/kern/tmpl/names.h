/* k_<type>_<what>_c from TN and what. */
#ifndef OT_KERN_NAMES_H
#define OT_KERN_NAMES_H
#define NAME_CAT(tn, what)  k_##tn##_##what##_c
#define NAME_CAT2(tn, what) NAME_CAT(tn, what)
#define NAME(what)          NAME_CAT2(TN, what)
#endif
