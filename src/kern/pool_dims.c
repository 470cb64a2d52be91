#include "base/checked.h"
#include "kern/pool.h"

int64_t pool_out_dim(int64_t in, int64_t kernel, int64_t stride, int64_t dilation, int64_t pads_begin,
                     int64_t pads_end, bool ceil_mode)
{
    int64_t span, room;
    if (kernel < 1 || stride < 1 || dilation < 1 || !mul_i64(dilation, kernel - 1, &span) ||
        !add_i64(in, pads_begin, &room) || !add_i64(room, pads_end, &room) || span >= room)
        return -1;
    room -= span + 1;
    int64_t out = room / stride + 1;
    if (ceil_mode && room % stride && out * stride < in + pads_begin)
        out++;
    return out;
}
