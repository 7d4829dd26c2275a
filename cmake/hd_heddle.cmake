# Everything of the product: the libraries it stands on, its modules, libheddle and the program.
find_package(PkgConfig REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.13)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3.0)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc>=2.5)
pkg_check_modules(ZIP REQUIRED IMPORTED_TARGET libzip>=1.7)
pkg_check_modules(CURL REQUIRED libcurl>=7.80)
pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd>=0.9.71)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash>=0.8)

hd_module(base LIBS PkgConfig::JANSSON PkgConfig::CRYPTO PkgConfig::XXHASH Threads::Threads)
hd_module(cpu DEPS base)
hd_module(kernel DEPS base cpu LIBS m)
hd_module(model DEPS base)
hd_module(token DEPS base LIBS PkgConfig::UTF8PROC)
hd_module(device DEPS base cpu kernel)
hd_module(encoder DEPS base device model LIBS m)
hd_module(engine DEPS base cpu model token device encoder LIBS m)
hd_module(remote DEPS base model LIBS PkgConfig::ZIP ${CMAKE_DL_LIBS})
hd_module(serve DEPS base LIBS PkgConfig::MICROHTTPD PkgConfig::ZLIB)
hd_module(wire DEPS base engine LIBS m)
target_include_directories(hd_remote PRIVATE ${CURL_INCLUDE_DIRS}) # not linked: remote/curl_library.c opens it when needed
hd_isa_flags(kernel)

# libheddle: the public API and nothing else is visible.
set(HD_ENGINE_MODULES engine encoder device token model kernel cpu base)
add_library(heddle SHARED)
foreach(module ${HD_ENGINE_MODULES})
  target_sources(heddle PRIVATE $<TARGET_OBJECTS:hd_${module}>)
endforeach()
target_link_libraries(heddle PRIVATE PkgConfig::JANSSON PkgConfig::CRYPTO PkgConfig::XXHASH PkgConfig::UTF8PROC Threads::Threads m)
set_target_properties(heddle PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})

# The program, linked against the archives: one file to copy.
file(GLOB HD_CLI_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/cli/*.c")
if(HD_CLI_SOURCES)
  add_executable(heddle_cli ${HD_CLI_SOURCES})
  hd_compile_options(heddle_cli)
  target_link_libraries(heddle_cli PRIVATE hd_engine hd_remote hd_serve hd_wire m)
  set_target_properties(heddle_cli PROPERTIES OUTPUT_NAME heddle)
endif()

add_subdirectory(examples)
