// kw.hpp in a second source file of a program.
#include <kw.hpp>

const std::error_category &category_of_another_file() noexcept
{
    return kw::category();
}
